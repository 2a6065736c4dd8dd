"""Exercise of notebook 05: how much each feature map counts in Grad-CAM."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def grad_cam_weights(gradients):
    """Return the weight of each feature map in Grad-CAM, an array (batch, channels).

    gradients: of the target's logit by the feature maps, NumPy array
        (batch, rows, columns, channels), float32.
    """
    return ...
'''

SOLUTION = '''\
def grad_cam_weights(gradients):
    """Return the weight of each feature map in Grad-CAM, an array (batch, channels).

    gradients: of the target's logit by the feature maps, NumPy array
        (batch, rows, columns, channels), float32.
    """
    return gradients.mean(axis=(1, 2))
'''

EXPLANATION = """\
A map has one number for each place, but Grad-CAM asks for one weight per map: it takes the mean
over the places, (1/Z) times the sum with Z = rows * columns. The signs stay: a map that speaks
against the class gets a negative weight. ReLU comes afterwards, on the weighted sum of the maps.

In a network that ends in global average pooling and one dense layer, like the one of this notebook,
the gradient is the same at every place: the dense weight divided by Z. There Grad-CAM is the older
class activation map, but for that factor.

Source: Selvaraju et al. 2017, eq. 1, https://arxiv.org/abs/1610.02391."""


def check(attempt: engine.Attempt) -> None:
    """Asks for gradients whose axes all have different lengths, so that none can be mistaken."""
    gradients = np.random.default_rng(5).normal(0.3, 1, (2, 3, 5, 4)).astype(np.float32)
    answer = engine.numbers(attempt(gradients), what="weights")
    engine.recognise(answer, _mistakes(gradients.astype(np.float64)), tolerance=1e-4)
    if answer.shape != (2, 4):
        raise engine.Wrong(
            f"For gradients of the shape {gradients.shape} the weights have the shape (2, 4), one "
            f"for each image and map. Yours have the shape {answer.shape}."
        )
    engine.compare(
        answer, gradients.mean(axis=(1, 2)), question="For random gradients", tolerance=1e-4
    )


def _mistakes(g: np.ndarray) -> list[tuple[np.ndarray, str]]:
    absolute = "You drop the signs. A map that speaks against the class has a negative weight."
    return [
        (g.sum(axis=(1, 2)), "You add the places up. The weight is their mean: divide by Z."),
        (np.abs(g).mean(axis=(1, 2)), absolute),
        (np.maximum(g, 0).mean(axis=(1, 2)), "ReLU comes later, on the weighted sum of the maps."),
        (np.maximum(g.mean(axis=(1, 2)), 0), "ReLU comes later, on the weighted sum of the maps."),
        (g.max(axis=(1, 2)), "You take the largest gradient of each map. The weight is the mean."),
        (g.mean(axis=(0, 1, 2)), "You average over the images, too. Each has its own weights."),
        (g.mean(axis=3), "You average over the maps. One weight per map: average over the places."),
        (
            g.mean(axis=(1, 2), keepdims=True),
            "The numbers are right, but two axes of length 1 are left: drop `keepdims`.",
        ),
    ]


def _wrong(body: str, says: str) -> engine.WrongAnswer:
    source = f"def grad_cam_weights(gradients):\n    return {body}\n"
    return engine.WrongAnswer(source=source, says=says)


EXERCISE = engine.Exercise(
    name="grad_cam_weights",
    title="The weights of Grad-CAM",
    notebook="05_inside_a_cnn",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "The sum in the formula runs over i and j, the rows and columns, and Z is their number. "
        "Which axes are these?",
        "NumPy averages over several axes at once: `array.mean(axis=(...))`.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def grad_cam_weights(gradients):
    batch, rows, columns, channels = gradients.shape
    return gradients.reshape(batch, -1, channels).sum(axis=1) / (rows * columns)
""",
        """\
def grad_cam_weights(gradients):
    return tf.reduce_mean(gradients, axis=[1, 2])
""",
    ),
    wrong_answers=(
        _wrong("gradients.sum(axis=(1, 2))", "divide by Z"),
        _wrong("np.abs(gradients).mean(axis=(1, 2))", "drop the signs"),
        _wrong("np.maximum(gradients, 0).mean(axis=(1, 2))", "ReLU comes later"),
        _wrong("gradients.max(axis=(1, 2))", "largest gradient"),
        _wrong("gradients.mean(axis=(0, 1, 2))", "average over the images"),
        _wrong("gradients.mean(axis=-1)", "average over the maps"),
        _wrong("gradients.mean(axis=(1, 2), keepdims=True)", "two axes of length 1"),
        _wrong("gradients.mean(axis=1)", "the shape (2, 4)"),
        _wrong("gradients.mean(axis=(1, 2)) / 2", "For random gradients"),
    ),
)
