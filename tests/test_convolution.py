"""The layers in NumPy: against loops over single numbers, TensorFlow and finite differences."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from course_lib import convolution

RANDOM = np.random.default_rng(0)
PADDINGS = ("valid", "same", 0, 1, 2)
# (height, width), kernel, stride, padding, dilation: small, and each rule in it somewhere.
CASES = [
    ((5, 6), (3, 3), 1, "valid", 1), ((5, 6), (3, 2), 2, "valid", 1),
    ((5, 4), (3, 3), 2, "same", 1), ((4, 4), (2, 2), 1, "same", 1),
    ((6, 5), (2, 3), 1, "same", 2), ((6, 5), (2, 2), 2, 1, 2),
    ((4, 5), (1, 1), 3, "valid", 1), ((3, 3), (3, 3), 4, 2, 1), ((1, 7), (1, 3), 2, "same", 3),
]  # fmt: skip


def pads_by_definition(size, kernel, stride, padding, dilation):
    """TensorFlow's documentation of "same", with the span of a dilated kernel."""
    if padding == "valid":
        return 0, 0
    if padding != "same":
        return padding, padding
    span = (kernel - 1) * dilation + 1
    total = span - stride if size % stride == 0 else span - size % stride
    return max(total, 0) // 2, max(total, 0) - max(total, 0) // 2


def convolve_by_loops(image, kernel, stride, padding, dilation):
    """One image (height, width, channels); every sum is written out."""
    height, width, channels = image.shape
    rows, columns, _, filters = kernel.shape
    top, bottom = pads_by_definition(height, rows, stride, padding, dilation)
    left, right = pads_by_definition(width, columns, stride, padding, dilation)
    last_y = height + top + bottom - (rows - 1) * dilation
    last_x = width + left + right - (columns - 1) * dilation
    output = []
    for y in range(0, last_y, stride):
        output.append([])
        for x in range(0, last_x, stride):
            sums = [0.0] * filters
            for i, j, c, f in itertools.product(*map(range, (rows, columns, channels, filters))):
                source_y, source_x = y + i * dilation - top, x + j * dilation - left
                if 0 <= source_y < height and 0 <= source_x < width:
                    sums[f] += image[source_y, source_x, c] * kernel[i, j, c, f]
            output[-1].append(sums)
    return np.array(output)


def slopes(function, array, step=1e-6):
    """The derivatives of function() by each number of an array, by central differences."""
    found = np.zeros_like(array)
    for index in np.ndindex(*array.shape):
        kept = array[index]
        array[index] = kept + step
        above = function()
        array[index] = kept - step
        found[index] = (above - function()) / (2 * step)
        array[index] = kept
    return found


# Sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_output_size_is_the_number_of_places_for_the_kernel(padding):
    grid = itertools.product(range(1, 12), range(1, 6), range(1, 5), range(1, 4))
    for size, kernel, stride, dilation in grid:
        before, after = pads_by_definition(size, kernel, stride, padding, dilation)
        span = 1 + sum(dilation for _ in range(kernel - 1))
        places = [
            start
            for start in range(0, before + size + after, stride)
            if start + span <= before + size + after
        ]
        arguments = size, kernel, stride, padding, dilation
        if places:
            assert convolution.output_size(*arguments) == len(places), arguments
        else:
            with pytest.raises(ValueError, match=f"reaches over {span} pixels"):
                convolution.output_size(*arguments)


def test_same_padding_puts_the_odd_pixel_after_and_keeps_size_by_stride():
    assert convolution.padding_pixels(5, 2, 1, "same") == (0, 1)
    assert convolution.padding_pixels(4, 3, 2, "same") == (0, 1)
    assert convolution.padding_pixels(5, 3, 2, "same") == (1, 1)
    assert convolution.padding_pixels(6, 2, 3, "same") == (0, 0)  # never negative
    assert [convolution.output_size(n, 3, 2, "same") for n in (6, 7, 8)] == [3, 4, 4]


def test_valid_padding_and_no_padding_are_the_same():
    assert convolution.padding_pixels(9, 3, 2, "valid") == convolution.padding_pixels(9, 3, 2, 0)


@pytest.mark.parametrize(
    "name, arguments",
    [("size", (0, 3)), ("kernel", (5, 0)), ("kernel", (5, 2.0)), ("stride", (5, 3, 0)),
     ("stride", (5, 3, True)), ("dilation", (5, 3, 1, "valid", -1))],
)  # fmt: skip
def test_what_is_no_size_is_refused_by_name(name, arguments):
    with pytest.raises(ValueError, match=f"{name} must be a whole number, at least 1. Received"):
        convolution.output_size(*arguments)


@pytest.mark.parametrize("padding", ["SAME", "full", -1, 1.5, None, True])
def test_an_unknown_padding_is_refused_with_the_three_there_are(padding):
    with pytest.raises(ValueError, match=f'"valid", "same" or a whole .* Received: {padding!r}'):
        convolution.padding_pixels(5, 3, 1, padding)


def test_a_kernel_that_does_not_fit_is_refused_with_the_way_out():
    message = r"over 5 pixels \(kernel 3, dilation 2\), the input has 2 and padding adds 1 \+ 1"
    with pytest.raises(ValueError, match=message):
        convolution.output_size(2, 3, 1, 1, 2)


@pytest.mark.parametrize(
    "layers, expected",
    [([], (1, 1)), ([(3, 1)], (3, 1)), ([(3, 1), (3, 1)], (5, 1)), ([(3, 2), (3, 2)], (7, 4)),
     ([(3, 1), (2, 2), (3, 1), (2, 2)], (10, 4)), ([(3, 1, 2), (3, 1, 4)], (13, 1)),
     ([(3, 4)], (3, 4))],
)  # fmt: skip
def test_the_receptive_field_of_small_stacks_is_that_of_pencil_and_paper(layers, expected):
    assert convolution.receptive_field(layers) == expected


@pytest.mark.parametrize("layers", [[(3, 2), (2, 3), (3, 1, 2)], [(1, 2), (4, 1)], [(2, 3, 3)]])
def test_the_receptive_field_is_what_moves_an_output(layers):
    seen = {0}  # the pixels of the input below output 0, layer by layer, from the last
    first = {1}
    for kernel, stride, *dilation in reversed(layers):
        gap = dilation[0] if dilation else 1
        seen = {stride * pixel + gap * i for pixel in seen for i in range(kernel)}
        first = {min(stride * pixel for pixel in first)}
    pixels, step = convolution.receptive_field(layers)
    assert (max(seen) + 1, min(first)) == (pixels, step)


def test_a_layer_without_a_size_is_refused_in_a_receptive_field():
    with pytest.raises(ValueError, match="stride must be a whole number, at least 1. Received: 0"):
        convolution.receptive_field([(3, 0)])
    with pytest.raises(ValueError, match="dilation must be .* Received: 0"):
        convolution.receptive_field([(3, 1, 0)])


# Convolution --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size, kernel, stride, padding, dilation", CASES)
def test_a_convolution_is_the_sums_of_its_definition(size, kernel, stride, padding, dilation):
    images = RANDOM.normal(size=(2, *size, 3))
    weights, bias = RANDOM.normal(size=(*kernel, 3, 2)), RANDOM.normal(size=2)
    found = convolution.convolve(
        images, weights, bias, stride=stride, padding=padding, dilation=dilation
    )
    options = (weights, stride, padding, dilation)
    expected = np.stack([convolve_by_loops(image, *options) for image in images]) + bias
    assert found.dtype == np.float64 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_convolution_is_tensorflows_over_the_whole_grid(padding):
    compared = 0
    grid = itertools.product(range(1, 9), range(1, 6), range(1, 5), range(1, 4))
    for size, kernel, stride, dilation in grid:
        if padding == "valid" and dilation * (kernel - 1) >= size:
            continue
        images = RANDOM.normal(size=(1, size, size + 1, 2))
        weights = RANDOM.normal(size=(kernel, kernel, 2, 2))
        expected = tf.nn.conv2d(images, weights, stride, padding.upper(), dilations=dilation)
        found = convolution.convolve(
            images, weights, stride=stride, padding=padding, dilation=dilation
        )
        np.testing.assert_allclose(found, expected, atol=1e-12)
        compared += 1
    assert compared == {"valid": 260, "same": 480}[padding]


@pytest.mark.parametrize("size, kernel, stride, padding, dilation", CASES)
def test_the_gradients_are_finite_differences(size, kernel, stride, padding, dilation):
    images, weights = RANDOM.normal(size=(2, *size, 2)), RANDOM.normal(size=(*kernel, 2, 3))
    bias, options = np.zeros(3), {"stride": stride, "padding": padding, "dilation": dilation}
    weighing = RANDOM.normal(size=convolution.convolve(images, weights, **options).shape)

    def loss():
        return np.sum(weighing * convolution.convolve(images, weights, bias, **options))

    found = convolution.convolve_gradients(images, weights, weighing, **options)
    for gradient, array in zip(found, (images, weights, bias), strict=True):
        assert gradient.shape == array.shape
        np.testing.assert_allclose(gradient, slopes(loss, array), atol=1e-7)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride, dilation", [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2)])
def test_the_gradients_are_those_of_the_gradient_tape(padding, stride, dilation):
    images, kernel = RANDOM.normal(size=(2, 7, 6, 2)), RANDOM.normal(size=(3, 2, 2, 4))
    # On a processor TensorFlow has no gradient of a dilation: zeros stand between the numbers.
    spread = np.zeros((2 * dilation + 1, dilation + 1, 2, 4))
    spread[::dilation, ::dilation] = kernel
    values = [tf.constant(images), tf.constant(spread), tf.constant(RANDOM.normal(size=4))]
    with tf.GradientTape() as tape:
        tape.watch(values)
        output = tf.nn.conv2d(*values[:2], stride, padding.upper()) + values[2]
        loss = tf.reduce_sum(output**2)
    by_image, by_spread, by_bias = tape.gradient(loss, values)
    found = convolution.convolve_gradients(
        images, kernel, 2 * output, stride=stride, padding=padding, dilation=dilation
    )
    expected = by_image, by_spread[::dilation, ::dilation], by_bias
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def test_arguments_are_left_as_they_were():
    images, kernel, gradient = np.ones((1, 4, 4, 1)), np.ones((2, 2, 1, 1)), np.ones((1, 4, 4, 1))
    convolution.convolve(images, kernel, np.ones(1), padding="same")
    convolution.convolve_gradients(images, kernel, gradient, padding="same")
    convolution.max_pool_gradient(images, 2, gradient, stride=1, padding="same")
    assert all((array == 1).all() for array in (images, kernel, gradient))


@pytest.mark.parametrize(
    "images, kernel, message",
    [
        (np.zeros((4, 4)), np.zeros((2, 2, 1, 1)), r"images must have .* Received: \(4, 4\)"),
        (np.zeros((0, 4, 4, 1)), np.zeros((2, 2, 1, 1)), r"Received: \(0, 4, 4, 1\)"),
        (np.zeros((1, 4, 4, 1)), np.zeros((2, 2)), r"the kernel must have .* Received: \(2, 2\)"),
        (np.zeros((1, 4, 4, 3)), np.zeros((2, 2, 1, 5)), "have 3 channels and the kernel is for 1"),
        (np.zeros((1, 4, 2, 1)), np.zeros((2, 3, 1, 1)), "the kernel does not fit"),
    ],
)
def test_wrong_shapes_are_refused_by_name(images, kernel, message):
    with pytest.raises(ValueError, match=message):
        convolution.convolve(images, kernel)


def test_a_bias_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"has 2 filters, .* Received: \(3,\)"):
        convolution.convolve(np.zeros((1, 4, 4, 1)), np.zeros((2, 2, 1, 2)), np.zeros(3))


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"output, \(1, 3, 3, 1\). Received: \(1, 3, 2, 1\)"):
        convolution.convolve_gradients(
            np.zeros((1, 4, 4, 1)), np.zeros((2, 2, 1, 1)), np.zeros((1, 3, 2, 1))
        )
    with pytest.raises(ValueError, match=r"output, \(1, 2, 2, 1\). Received: \(1, 2, 2\)"):
        convolution.max_pool_gradient(np.zeros((1, 4, 4, 1)), 2, np.zeros((1, 2, 2)))


# Pooling ------------------------------------------------------------------------------------------

POOLS = [(5, 2, 2, "valid"), (5, 2, 2, "same"), (6, 3, 2, "same"), (6, 3, 1, "valid")]
POOLS += [(7, 3, 4, "valid"), (4, 3, 1, "same"), (5, 1, 2, "valid")]


@pytest.mark.parametrize("height, size, stride, padding", POOLS)
def test_pooling_is_tensorflows(height, size, stride, padding):
    images = RANDOM.normal(size=(2, height, height + 1, 3)) - 5  # a padding of 0 would be largest
    largest = convolution.max_pool(images, size, stride=stride, padding=padding)
    means = convolution.average_pool(images, size, stride=stride, padding=padding)
    images = tf.constant(images)  # or they become float32
    expected = tf.nn.max_pool2d(images, size, stride, padding.upper())
    np.testing.assert_array_equal(largest, expected)
    expected = tf.nn.avg_pool2d(images, size, stride, padding.upper())
    np.testing.assert_allclose(means, expected, atol=1e-12)


def test_pooling_by_hand_with_padding_and_with_the_stride_left_out():
    image = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, -9]])[None, :, :, None]
    assert convolution.max_pool(image, 2)[0, :, :, 0].tolist() == [[5]]
    assert convolution.average_pool(image, 2)[0, :, :, 0].tolist() == [[3]]
    assert convolution.max_pool(image, 2, padding=1)[0, :, :, 0].tolist() == [[1, 3], [7, 8]]
    means = convolution.average_pool(image, 2, padding=1)[0, :, :, 0]
    assert means.tolist() == [[1, 2.5], [5.5, 2.5]]


@pytest.mark.parametrize("height, size, stride, padding", POOLS)
@pytest.mark.parametrize("ties", [False, True])
def test_the_gradient_of_max_pooling_is_tensorflows_with_ties_too(
    height, size, stride, padding, ties
):
    images = RANDOM.normal(size=(2, height, height + 1, 3))
    images = tf.constant(np.round(images) if ties else images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        output = tf.nn.max_pool2d(images, size, stride, padding.upper())
        weighing = RANDOM.normal(size=output.shape)
        loss = tf.reduce_sum(output * weighing)
    found = convolution.max_pool_gradient(images, size, weighing, stride=stride, padding=padding)
    np.testing.assert_allclose(found, tape.gradient(loss, images), atol=1e-12)


@pytest.mark.parametrize("padding", ["valid", 1])
def test_the_gradient_of_max_pooling_is_finite_differences(padding):
    images = RANDOM.permutation(2 * 5 * 5).reshape(1, 5, 5, 2) * 1.0  # no two are near each other
    output = convolution.max_pool(images, 3, stride=2, padding=padding)
    weighing = RANDOM.normal(size=output.shape)
    found = convolution.max_pool_gradient(images, 3, weighing, stride=2, padding=padding)

    def loss():
        return np.sum(weighing * convolution.max_pool(images, 3, stride=2, padding=padding))

    np.testing.assert_allclose(found, slopes(loss, images), atol=1e-7)


def test_a_padding_that_makes_empty_windows_is_refused():
    with pytest.raises(ValueError, match="a padding of 2 makes windows of 2 without any pixel"):
        convolution.max_pool(np.zeros((1, 4, 4, 1)), 2, padding=2)


# Softmax and cross-entropy ------------------------------------------------------------------------

LOGITS = RANDOM.normal(size=(5, 4)) * 3
LABELS = np.array([0, 3, 1, 1, 2])


def test_softmax_is_its_definition_and_survives_large_logits():
    by_definition = [[np.exp(z) / sum(np.exp(row)) for z in row] for row in LOGITS]
    np.testing.assert_allclose(convolution.softmax(LOGITS), by_definition, rtol=1e-12)
    large = convolution.softmax([[1000.0, 1000.0, -1000.0]])
    np.testing.assert_allclose(large, [[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(convolution.softmax(np.zeros((2, 3, 4))), np.full((2, 3, 4), 0.25))


def test_cross_entropy_is_kerass_and_survives_large_logits():
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = convolution.cross_entropy(LOGITS, LABELS)
    assert found == pytest.approx(float(loss(LABELS, LOGITS)), abs=1e-6)
    chosen = np.exp(LOGITS)[range(5), LABELS] / np.exp(LOGITS).sum(1)
    assert found == pytest.approx(-np.mean(np.log(chosen)), abs=1e-12)
    assert convolution.cross_entropy([[0.0, 2000.0]], [0]) == 2000.0


def test_the_gradient_of_cross_entropy_is_finite_differences_and_sums_to_0():
    logits = LOGITS.copy()
    found = convolution.cross_entropy_gradient(logits, LABELS)
    expected = slopes(lambda: convolution.cross_entropy(logits, LABELS), logits)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    np.testing.assert_allclose(found.sum(1), 0, atol=1e-15)


@pytest.mark.parametrize(
    "logits, labels, message",
    [
        ([0.0, 1.0], [0], r"logits must have the shape .* Received: \(2,\)"),
        ([[0.0, 1.0]], [0, 1], r"int64 of shape \(2,\)"),
        ([[0.0, 1.0]], [0.0], r"float64 of shape \(1,\)"),
        ([[0.0, 1.0]], [2], "labels go from 0 to 1 here. Received: 2"),
        ([[0.0, 1.0], [0.0, 1.0]], [1, -1], "Received: -1"),
    ],
)
@pytest.mark.parametrize(
    "function", [convolution.cross_entropy, convolution.cross_entropy_gradient]
)
def test_wrong_labels_are_refused(function, logits, labels, message):
    with pytest.raises(ValueError, match=message):
        function(logits, labels)
