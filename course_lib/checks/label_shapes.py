"""Exercise of notebook 06: labels that follow their batch, the last and smaller one included."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def label_shapes(images, value):
    """Return one label for each image, every one equal to `value`, in the shape (batch, 1).

    images: NumPy array (batch, height, width, channels), float32.
    value: 1.0 for real images, 0.0 for generated ones.
    """
    return ...
'''

SOLUTION = '''\
def label_shapes(images, value):
    """Return one label for each image, every one equal to `value`, in the shape (batch, 1).

    images: NumPy array (batch, height, width, channels), float32.
    value: 1.0 for real images, 0.0 for generated ones.
    """
    return tf.fill([tf.shape(images)[0], 1], value)
'''

EXPLANATION = """\
The number of labels comes from the images themselves, so it is right for every batch: 1,000
images in batches of 64 leave a last batch of 40. The article's script writes
`tf.ones((batch_size, 1))`, and stops there with an error about the shapes (64, 1) and (40, 1).

`tf.shape(images)[0]` asks while the program runs; inside a compiled function `images.shape[0]`
may be None. The shape (batch, 1) matters as well: labels (batch,) beside logits (batch, 1) are
broadcast to (batch, batch) without complaint. A loss made of `softplus` needs no labels at all."""


def check(attempt: engine.Attempt) -> None:
    """Asks for three batch sizes and three values."""
    for batch, value in ((64, 1.0), (40, 0.0), (1, 0.75)):
        labels = engine.numbers(
            attempt(np.zeros((batch, 4, 4, 3), np.float32), value), what="array of labels"
        )
        _check_shape(labels.shape, batch)
        if labels.dtype.kind not in "fV":
            raise engine.Wrong(
                f"Your labels are of the type {labels.dtype}. A loss multiplies them with "
                "logits: they have to be floats."
            )
        mistakes = [
            (np.ones_like(labels), "Every label is 1, whatever `value` is."),
            (np.zeros_like(labels), "Every label is 0, whatever `value` is."),
        ]
        engine.compare(
            labels,
            np.full((batch, 1), value),
            question=f"For the value {value:g}",
            mistakes=mistakes,
        )


def _check_shape(shape: tuple[int, ...], batch: int) -> None:
    if shape == (batch, 1):
        return
    if shape == (batch,):
        raise engine.Wrong(
            f"Your labels have the shape ({batch},). Beside logits of the shape ({batch}, 1) "
            f"they are broadcast to ({batch}, {batch}) without complaint. Make it ({batch}, 1)."
        )
    if shape == (64, 1):
        raise engine.Wrong(
            f"For {batch} images you return 64 labels. The last batch is smaller than the "
            "others: ask the images for their number."
        )
    if shape == (batch, 4, 4, 3):
        raise engine.Wrong(
            "You return one label for each pixel. The discriminator gives one answer for each "
            "image."
        )
    raise engine.Wrong(
        f"For {batch} images your labels have the shape {shape}. It has to be ({batch}, 1)."
    )


EXERCISE = engine.Exercise(
    name="label_shapes",
    title="Labels that fit the last batch as well",
    notebook="06_first_faces",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        (
            "Who knows how many images there are in this batch? Not a setting at the top of the "
            "notebook."
        ),
        (
            "The first number of `images.shape` is the batch. The labels have the shape (that "
            "number, 1)."
        ),
        "`np.full(shape, value)` and `tf.fill(shape, value)` make an array of one value.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def label_shapes(images, value):
    return np.full((len(images), 1), value, np.float32)
""",
        "def label_shapes(images, value):\n    return value * tf.ones((images.shape[0], 1))\n",
        "def label_shapes(images, value):\n    return [[value] for image in images]\n",
        """\
def label_shapes(images, value):
    return tf.cast(np.full((len(images), 1), value), tf.bfloat16)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="def label_shapes(images, value):\n    return value * tf.ones((64, 1))\n",
            says="last batch is smaller",
        ),
        engine.WrongAnswer(
            source="def label_shapes(images, value):\n    return np.full(len(images), value)\n",
            says="broadcast",
        ),
        engine.WrongAnswer(
            source="def label_shapes(images, value):\n    return np.ones((len(images), 1))\n",
            says="Every label is 1",
        ),
        engine.WrongAnswer(
            source="def label_shapes(images, value):\n    return np.full_like(images, value)\n",
            says="for each pixel",
        ),
        engine.WrongAnswer(
            source="""\
def label_shapes(images, value):
    return np.full((len(images), 1), value, int)
""",
            says="floats",
        ),
        engine.WrongAnswer(
            source="def label_shapes(images, value):\n    return value\n",
            says="shape ()",
        ),
    ),
)
