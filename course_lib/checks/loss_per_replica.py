"""Exercise of notebook 16: the loss of a part, so that the sum of gradients is right."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def loss_per_replica(losses, global_batch_size):
    """Return the loss that one device differentiates, one number.

    losses: the losses of this device's images, NumPy array (images,), float32.
    global_batch_size: images of all devices together. The gradients of all devices are summed.
    """
    return ...
'''

SOLUTION = '''\
def loss_per_replica(losses, global_batch_size):
    """Return the loss that one device differentiates, one number.

    losses: the losses of this device's images, NumPy array (images,), float32.
    global_batch_size: images of all devices together. The gradients of all devices are summed.
    """
    return np.sum(losses) / global_batch_size
'''

EXPLANATION = """\
One device alone would take the mean over the whole batch, sum / B. The gradient of a sum is the sum
of the gradients, so the parts must add up to that number: each device divides by B, the images of
all devices, not by its own. Dividing by its own would make every step N times as long, as if the
learning rate had been multiplied by the number of devices; with Adam, which divides by the size of
the gradients, the mistake hides, and only penalties, clipping and epsilon show it.

It is also right where the parts are not equally large, which the mean of the means is not."""

PARTS = (np.array([1.0, 2.0, 6.0], np.float32), np.array([0.5], np.float32))


def check(attempt: engine.Attempt) -> None:
    """Asks for a part of a larger batch, then whether the parts add up to the mean of the whole."""
    part, batch = PARTS[0], 12
    answer = engine.numbers(attempt(part, batch), shape=(), what="loss")
    mistakes = [
        (np.mean(part), "This is the mean over the device's own images; after summing, every "
         "step would be as many times too long as there are devices."),
        (np.sum(part), "This is the sum. The whole batch's loss is a mean."),
        (np.mean(part) / batch, "You divide twice: by the own images and by all."),
        (np.mean(part) / len(PARTS), "This would be right for parts of equal size alone."),
    ]  # fmt: skip
    question = "For losses 1, 2, 6 of a batch of 12"
    engine.compare(answer, np.sum(part) / batch, question=question, mistakes=mistakes)
    whole = np.concatenate(PARTS)
    total = sum(
        float(engine.numbers(attempt(part, len(whole)), shape=(), what="loss")) for part in PARTS
    )
    engine.compare(
        np.asarray(total),
        np.mean(whole),
        question="For parts of 3 and 1 images, added up",
    )


EXERCISE = engine.Exercise(
    name="loss_per_replica",
    title="Divide by what?",
    notebook="16_scaling_up",
    minutes=5,
    difficulty=1,
    stub=STUB,
    hints=(
        "What would one device with the whole batch differentiate? Write it as a sum over devices.",
        "The mean over B images is the sum of the devices' sums, divided by B.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        "def loss_per_replica(losses, global_batch_size):\n"
        "    return np.mean(losses) * len(losses) / global_batch_size\n",
        "def loss_per_replica(losses, global_batch_size):\n"
        "    return tf.reduce_sum(losses / global_batch_size)\n",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="def loss_per_replica(losses, global_batch_size):\n    return np.mean(losses)\n",
            says="own images",
        ),
        engine.WrongAnswer(
            source="def loss_per_replica(losses, global_batch_size):\n    return np.sum(losses)\n",
            says="is a mean",
        ),
        engine.WrongAnswer(
            source="def loss_per_replica(losses, global_batch_size):\n"
            "    return np.mean(losses) / global_batch_size\n",
            says="divide twice",
        ),
        engine.WrongAnswer(
            source="def loss_per_replica(losses, global_batch_size):\n"
            "    return np.mean(losses) / 4\n",
            says="For parts of 3 and 1",
        ),
    ),
)
