"""Exercise of notebook 08: the penalty of WGAN-GP on a given critic."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def gradient_penalty(critic, real_images, fake_images, epsilon):
    """Return the penalty of WGAN-GP, one number: the mean over the batch of (slope - 1) ** 2.

    critic: function of TensorFlow operations, images (batch, pixels) -> scores (batch, 1).
    real_images, fake_images: tensors (batch, pixels), float32.
    epsilon: tensor (batch, 1), float32: the share of the real image in each mixture. The slope
        is the length of the critic's gradient with respect to the mixture, one per image.
    """
    return ...
'''

BODY = """\
    mixture = fake_images + epsilon * (real_images - fake_images)
    with tf.GradientTape() as tape:
        tape.watch(mixture)
        scores = critic(mixture)
    gradient = tape.gradient(scores, mixture)
    slope = tf.norm(gradient, axis=1)
    return tf.reduce_mean((slope - 1) ** 2)
"""

SOLUTION = STUB.replace("    return ...\n", BODY)

EXPLANATION = """\
The scores of a batch are independent, so that one gradient of their sum holds each image's own
gradient in its row. Its length is the root of the sum of squares over the pixels of that image.

Two-sided: a slope below 1 costs as much as one above. One epsilon per image, not per pixel: the
mixture lies on the line between a real and a generated image. For a linear critic the slope is the
length of its weights everywhere, and for a curved one the place matters. A penalty that trains a
critic is differentiated once more, by its weights: a tape around this function does that.

`losses.gradient_penalty` is the same for images, draws epsilon itself and takes care of slope 0.

Source: Gulrajani et al. 2017, eq. 3 and algorithm 1, https://arxiv.org/abs/1704.00028."""

QUESTION = "For a critic that is half the squared length of the image, times {a:g}"


def check(attempt: engine.Attempt) -> None:
    """Asks for a linear critic, then for curved ones, where place and order of operations tell."""
    import tensorflow as tf  # here: checks come without TensorFlow until one is run that needs it

    random = np.random.default_rng(3)
    weights = tf.constant([[2.0], [-1.0], [2.0]])
    arguments = [random.standard_normal((4, 3)).astype("float32") for _ in range(2)]
    epsilon = random.uniform(0, 1, (4, 1)).astype("float32")
    answer = attempt(lambda x: x @ weights + 0.5, *map(tf.constant, (*arguments, epsilon)))
    answer = engine.numbers(answer, shape=(), what="penalty")
    question = "For a linear critic with weights of length 3"
    engine.compare(answer, 4.0, question=question, mistakes=LINEAR)
    for a in (2.0, 0.4):
        critic = _bowl(tf, a)
        answer = attempt(critic, *map(tf.constant, (*arguments, epsilon)))
        answer = engine.numbers(answer, shape=(), what="penalty")
        expected, mistakes = _curved(a, *arguments, epsilon)
        engine.compare(answer, expected, question=QUESTION.format(a=a), mistakes=mistakes)


def _bowl(tf, a):
    return lambda x: a / 2 * tf.reduce_sum(x**2, axis=1, keepdims=True)


LINEAR = [
    (9.0, "This is the squared slope, as in R1. Here a slope of 1 is wanted, not of 0."),
    (3.0, "This is the slope itself. The penalty is the squared distance of the slope from 1."),
    (2.0, "This is the distance of the slope from 1. Square it."),
    (16.0, "You add up the batch. The penalty is a mean over the images."),
    (64.0, "You take 1 from the squared slope. The slope is a length: take the root first."),
    (25.0, "You take the length over the whole batch. Each image has a slope of its own."),
    ((np.sqrt(3) - 1) ** 2, "You take a mean over the pixels. A squared length is their sum."),
]


def _curved(a, real, fake, epsilon):
    """The right number for D(x) = a |x|^2 / 2, whose gradient is a x, and known mistakes."""
    real, fake, epsilon = (np.asarray(part, "float64") for part in (real, fake, epsilon))

    def slopes(points):
        return a * np.linalg.norm(points, axis=1)

    def penalty(points):
        return np.mean((slopes(points) - 1) ** 2)

    mixture = epsilon * real + (1 - epsilon) * fake
    one_sided = np.mean(np.maximum(0, slopes(mixture) - 1) ** 2)
    return penalty(mixture), [
        (penalty(real), "You take the slope at the real images. The penalty asks for mixtures."),
        (penalty(fake), "You take the slope at the generated images. Mix them with the real."),
        (
            penalty(epsilon * fake + (1 - epsilon) * real),
            "Your shares are swapped: epsilon is the share of the real image.",
        ),
        (
            penalty((real + fake) / 2),
            "You mix half and half. The share of the real image is epsilon.",
        ),
        (
            (slopes(mixture).mean() - 1) ** 2,
            "You average the slopes first. Each image's slope has to be near 1 by itself.",
        ),
        (
            one_sided,
            "You punish only slopes above 1. The stub asks for both sides.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="gradient_penalty",
    title="The gradient penalty",
    notebook="08_stable_faces",
    minutes=15,
    difficulty=2,
    stub=STUB,
    hints=(
        "Three steps: make the mixtures, ask a tape for the gradient of the scores with respect to "
        "them, take the length of each row.",
        "A tape follows variables by itself, and tensors only after tape.watch(mixture).",
        "The length is a root of a sum over axis 1. The distance from 1 is squared image by image, "
        "and the mean comes last.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def gradient_penalty(critic, real_images, fake_images, epsilon):
    mixture = tf.Variable(epsilon * real_images + (1 - epsilon) * fake_images)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(critic(mixture))
    slopes = tf.sqrt(tf.reduce_sum(tape.gradient(total, mixture) ** 2, axis=-1))
    return tf.reduce_mean(tf.square(slopes - 1.0))
""",
    ),
    wrong_answers=tuple(
        engine.WrongAnswer(
            source=f"def gradient_penalty(critic, real_images, fake_images, epsilon):\n{body}",
            says=says,
        )
        for body, says in (
            (BODY.replace("slope - 1", "slope"), "as in R1"),
            (BODY.replace("tf.norm(gradient, axis=1)", "tf.norm(gradient)"), "whole batch"),
            (BODY.replace("reduce_mean", "reduce_sum"), "add up the batch"),
            (
                BODY.replace("tf.norm(gradient, axis=1)", "tf.reduce_sum(gradient**2, axis=1)"),
                "take the root first",
            ),
            (
                BODY.replace("(slope - 1) ** 2", "tf.maximum(0.0, slope - 1) ** 2"),
                "slopes above 1",
            ),
            (
                BODY.replace("fake_images + epsilon * (real_images - fake_images)", "real_images"),
                "at the real images",
            ),
            (
                BODY.replace(
                    "fake_images + epsilon * (real_images - fake_images)",
                    "real_images + epsilon * (fake_images - real_images)",
                ),
                "shares are swapped",
            ),
            (
                BODY.replace(
                    "tf.reduce_mean((slope - 1) ** 2)", "(tf.reduce_mean(slope) - 1) ** 2"
                ),
                "average the slopes first",
            ),
            (BODY.replace("        tape.watch(mixture)\n", ""), "stopped with an error"),
        )
    ),
)
