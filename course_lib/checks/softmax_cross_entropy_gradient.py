"""Exercise of notebook 03: where every gradient of a classifier begins."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def softmax_cross_entropy_gradient(logits, labels):
    """Return the derivatives of the mean cross-entropy by the logits, an array (count, classes).

    logits: NumPy array (count, classes), float64; they may be as large as 1,000.
    labels: NumPy array (count,), whole numbers from 0 to classes - 1.
    """
    return ...
'''

SOLUTION = '''\
def softmax_cross_entropy_gradient(logits, labels):
    """Return the derivatives of the mean cross-entropy by the logits, an array (count, classes).

    logits: NumPy array (count, classes), float64; they may be as large as 1,000.
    labels: NumPy array (count,), whole numbers from 0 to classes - 1.
    """
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient = exponentials / exponentials.sum(axis=1, keepdims=True)
    gradient[np.arange(len(labels)), labels] -= 1
    return gradient / len(labels)
'''

EXPLANATION = """\
For one image the loss is log(sum of e^z) - z[label]. The derivative of the first part by z[k] is
e^z[k] / sum = p[k]; that of the second is 1 for the label and 0 else. So the gradient is p - y:
negative at the label, which gradient descent raises, and positive elsewhere, by as much as the
network believed in that class. The mean over the batch divides by its size.

The largest logit of each *row* is subtracted first; p does not change, and no exponential
overflows.

Source: Bishop 2006, Pattern Recognition and Machine Learning, eq. 4.109."""

LOGITS = np.array([[1.0, 0.0, -2.0, 0.5], [0.0, 3.0, 1.0, -1.0], [0.3, 0.2, 0.1, 0.0]])
LABELS = np.array([0, 2, 2])
CASES = (
    ("For three images and four classes", LOGITS, LABELS),
    ("For one image", LOGITS[:1], LABELS[1:2]),
    ("For logits of 1,000", np.array([[1000.0, 999.0], [-1000.0, 1000.0]]), np.array([1, 1])),
)


def _softmax(logits: np.ndarray, axis: int | None = 1) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis, keepdims=True))
    return exponentials / exponentials.sum(axis, keepdims=True)


def right(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the right answer; the tests compare it with TensorFlow."""
    return (_softmax(logits) - np.eye(logits.shape[1])[labels]) / len(labels)


def check(attempt: engine.Attempt) -> None:
    """Asks where mistakes can be told apart, then for one image, then with large numbers."""
    for number, (question, logits, labels) in enumerate(CASES):
        answer = engine.numbers(attempt(logits, labels), shape=logits.shape, what="gradient")
        if number and not np.all(np.isfinite(answer)):
            raise engine.Wrong(
                f"{question}, your result holds inf or nan: e^1000 is too large for a float. "
                "Subtract the largest logit of a row from the row; p does not change."
            )
        mistakes = () if number else _mistakes(logits, labels)
        engine.compare(answer, right(logits, labels), question=question, mistakes=mistakes)


def _mistakes(logits: np.ndarray, labels: np.ndarray) -> list:
    p, y, count = _softmax(logits), np.eye(logits.shape[1])[labels], len(labels)
    no_softmax = "Your rows hold logits. Turn them into probabilities first."
    return [
        (p - y, "Right for the sum over the batch. The loss is the mean: divide by its size."),
        ((y - p) / count, "The sign is turned around: this is where to go, not the gradient."),
        (y - p, "The sign is turned around, and the mean over the batch is missing."),
        (p / count, "The labels are missing: where is y?"),
        (p, "These are the probabilities. What does the label change?"),
        ((logits - y) / count, no_softmax),
        (logits - y, no_softmax),
        (
            (_softmax(logits, 0) - y) / count,
            "Your softmax runs over the images. It has to run over the classes: each row sums to "
            "1.",
        ),
        ((_softmax(logits, None) - y) / count, "Your softmax runs over all numbers at once."),
        (
            (p - y) / logits.size,
            "You divide by the number of all logits. The mean is over images alone.",
        ),
        ((p - y) * y / count, "The other classes have a gradient, too: their part is p - 0."),
    ]


EXERCISE = engine.Exercise(
    name="softmax_cross_entropy_gradient",
    title="Where learning begins",
    notebook="03_cnn_by_hand",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "Three steps: probabilities, minus y, mean over the batch.",
        "y is 1 at the label and 0 elsewhere. `gradient[np.arange(len(labels)), labels]` are the "
        "entries at the labels, one in each row.",
        "For the softmax subtract `logits.max(axis=1, keepdims=True)` before `np.exp`; its sum "
        "runs over `axis=1` as well.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def softmax_cross_entropy_gradient(logits, labels):
    from scipy.special import softmax

    return (softmax(logits, axis=1) - np.eye(logits.shape[1])[labels]) / len(logits)
""",
        """\
def softmax_cross_entropy_gradient(logits, labels):
    z = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(z)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, z)
        loss = tf.reduce_mean(losses)
    return tape.gradient(loss, z)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def softmax_cross_entropy_gradient(logits, labels):
    p = tf.nn.softmax(logits).numpy()
    return p - np.eye(logits.shape[1])[labels]
""",
            says="The loss is the mean",
        ),
        engine.WrongAnswer(
            source="""\
def softmax_cross_entropy_gradient(logits, labels):
    p = tf.nn.softmax(logits).numpy()
    return (np.eye(logits.shape[1])[labels] - p) / len(labels)
""",
            says="turned around",
        ),
        engine.WrongAnswer(
            source="""\
def softmax_cross_entropy_gradient(logits, labels):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return (p - np.eye(logits.shape[1])[labels]) / len(labels)
""",
            says="Subtract the largest logit",
        ),
        engine.WrongAnswer(
            source="""\
def softmax_cross_entropy_gradient(logits, labels):
    p = tf.nn.softmax(logits, axis=0).numpy()
    return (p - np.eye(logits.shape[1])[labels]) / len(labels)
""",
            says="over the images",
        ),
        engine.WrongAnswer(
            source="""\
def softmax_cross_entropy_gradient(logits, labels):
    return (logits - np.eye(logits.shape[1])[labels]) / len(labels)
""",
            says="hold logits",
        ),
        engine.WrongAnswer(
            source="""\
def softmax_cross_entropy_gradient(logits, labels):
    y = np.eye(logits.shape[1])[labels]
    return (tf.nn.softmax(logits).numpy() - y) * y / len(labels)
""",
            says="their part is p - 0",
        ),
        engine.WrongAnswer(
            source="""\
def softmax_cross_entropy_gradient(logits, labels):
    return np.mean(tf.nn.softmax(logits) - np.eye(logits.shape[1])[labels], axis=0)
""",
            says="has to have the shape (3, 4)",
        ),
        engine.WrongAnswer(
            source="""\
def softmax_cross_entropy_gradient(logits, labels):
    return 0.5 * (tf.nn.softmax(logits).numpy() - np.eye(logits.shape[1])[labels])
""",
            says="For three images and four classes",
        ),
    ),
)
