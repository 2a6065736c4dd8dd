"""Exercise of notebook 05: the fast gradient sign method, once the gradient is there."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def fgsm_step(images, gradients, epsilon):
    """Return the images after one step of the fast gradient sign method, the same shape.

    images: NumPy array (batch, height, width, channels), float32 in [-1, 1]; so is the result.
    gradients: of the loss by the images, the same shape. epsilon: float, the size of the step.
    """
    return ...
'''

SOLUTION = '''\
def fgsm_step(images, gradients, epsilon):
    """Return the images after one step of the fast gradient sign method, the same shape.

    images: NumPy array (batch, height, width, channels), float32 in [-1, 1]; so is the result.
    gradients: of the loss by the images, the same shape. epsilon: float, the size of the step.
    """
    return np.clip(images + epsilon * np.sign(gradients), -1, 1)
'''

EXPLANATION = """\
If no value may change by more than epsilon, the loss rises fastest (to first order) when every
value changes by exactly epsilon, in the direction of its own slope: a small gradient counts as much
as a large one. That is why an attack that nobody sees adds up over thousands of values.

The step goes up the gradient of the *loss*; training goes down. Cut to [-1, 1] afterwards,
otherwise the result is no picture.

Source: Goodfellow et al. 2015, section 4, https://arxiv.org/abs/1412.6572."""


def right(images: np.ndarray, gradients: np.ndarray, epsilon: float) -> np.ndarray:
    """Returns the right answer."""
    return np.clip(images + epsilon * np.sign(gradients), -1, 1)


def check(attempt: engine.Attempt) -> None:
    """Asks inside the range first, where no cutting is needed, then at its ends."""
    random = np.random.default_rng(3)
    for edge, question in ((0.5, "For images inside [-0.5, 0.5]"), (1.0, "For images in [-1, 1]")):
        images = random.uniform(-edge, edge, (2, 3, 4, 3)).astype(np.float32)
        images[0, 0, 0] = edge
        gradients = random.normal(0, 0.01, images.shape).astype(np.float32)
        gradients[1, 0] = 0  # such values stay as they are
        answer = engine.numbers(
            attempt(images, gradients, 0.1), shape=images.shape, what="changed images"
        )
        engine.compare(
            answer, right(images, gradients, 0.1), question=question,
            mistakes=_mistakes(images.astype(np.float64), gradients.astype(np.float64), 0.1),
        )  # fmt: skip


def _mistakes(x: np.ndarray, g: np.ndarray, epsilon: float) -> list[tuple[np.ndarray, str]]:
    lengths = np.sqrt((g**2).sum(axis=(1, 2, 3), keepdims=True))
    step = epsilon * np.sign(g)
    return [
        (x + step, "The result leaves [-1, 1]: cut it, or it is no picture."),
        (
            np.clip(x + epsilon * g, -1, 1),
            "You add the gradient itself. The method adds its sign.",
        ),
        (np.clip(x - step, -1, 1), "You go down the loss. An attack goes up."),
        (np.clip(x + step, 0, 1), "You cut to [0, 1]. These images are in [-1, 1]."),
        (step, "This is the change alone. Add it to the images."),
        (
            np.clip(x + epsilon * g / lengths, -1, 1),
            "You normalise the length of the gradient. Here every value moves by the same amount.",
        ),
        (
            np.clip(x + epsilon * np.where(g > 0, 1, -1), -1, 1),
            "A value whose gradient is 0 must stay as it is; yours moves.",
        ),
        (
            np.clip(x + epsilon * np.where(g >= 0, 1, -1), -1, 1),
            "A value whose gradient is 0 must stay as it is; yours moves.",
        ),
    ]


def _wrong(body: str, says: str) -> engine.WrongAnswer:
    source = f"def fgsm_step(images, gradients, epsilon):\n    return {body}\n"
    return engine.WrongAnswer(source=source, says=says)


EXERCISE = engine.Exercise(
    name="fgsm_step",
    title="One step against the classifier",
    notebook="05_inside_a_cnn",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "The formula adds epsilon times the sign of the gradient. Which NumPy function gives -1, 0 "
        "or 1?",
        "A picture has values from -1 to 1, also after the step: which NumPy function cuts what "
        "lies outside?",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def fgsm_step(images, gradients, epsilon):
    return tf.clip_by_value(images + epsilon * tf.sign(gradients), -1.0, 1.0)
""",
        """\
def fgsm_step(images, gradients, epsilon):
    up, down = gradients > 0, gradients < 0
    changed = images + epsilon * up - epsilon * down
    return np.minimum(np.maximum(changed, -1), 1)
""",
    ),
    wrong_answers=(
        _wrong("images + epsilon * np.sign(gradients)", "leaves [-1, 1]"),
        _wrong("np.clip(images + epsilon * gradients, -1, 1)", "adds its sign"),
        _wrong("np.clip(images - epsilon * np.sign(gradients), -1, 1)", "attack goes up"),
        _wrong("np.clip(images + epsilon * np.sign(gradients), 0, 1)", "cut to [0, 1]"),
        _wrong("epsilon * np.sign(gradients)", "the change alone"),
        _wrong("np.clip(images + epsilon * np.where(gradients > 0, 1, -1), -1, 1)", "stay as it"),
        _wrong("np.clip(images + 2 * epsilon * np.sign(gradients), -1, 1)", "For images inside"),
    ),
)
