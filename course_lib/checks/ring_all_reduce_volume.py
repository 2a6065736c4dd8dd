"""Exercise of notebook 16: what each device sends until all have the sum."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def ring_all_reduce_volume(replicas, size):
    """Return how many bytes each device sends in a ring all-reduce, one number.

    replicas: number of devices, a whole number N of at least 1.
    size: bytes of the gradients, which every device has; they are cut into N equal pieces.
    """
    return ...
'''

SOLUTION = '''\
def ring_all_reduce_volume(replicas, size):
    """Return how many bytes each device sends in a ring all-reduce, one number.

    replicas: number of devices, a whole number N of at least 1.
    size: bytes of the gradients, which every device has; they are cut into N equal pieces.
    """
    piece = size / replicas
    rounds = 2 * (replicas - 1)
    return rounds * piece
'''

EXPLANATION = """\
In every round each device passes one piece, an N-th of the gradients, on to its neighbour. After
N - 1 rounds each piece has come past all devices and is summed, on one of them; N - 1 more rounds
hand the sums to all. That makes 2 (N - 1) / N times the size: half of the limit 2 for two devices,
1.97 for 64. What each device sends hardly grows with their number.

Source: Patarasuk and Yuan 2009, section 3, https://doi.org/10.1016/j.jpdc.2008.09.002."""

CASES = ((4, 400.0), (2, 10.0), (1, 7.0), (64, 2.14e6))


def right(replicas: int, size: float) -> float:
    """Returns the right answer; the tests compare it with a simulated ring."""
    return 2 * (replicas - 1) / replicas * size


def check(attempt: engine.Attempt) -> None:
    """Asks where mistakes can be told apart, then for two, one and many devices."""
    for number, (replicas, size) in enumerate(CASES):
        answer = engine.numbers(attempt(replicas, size), shape=(), what="volume")
        question = f"For {replicas} devices and {size:g} bytes"
        mistakes = () if number else _mistakes(replicas, size)
        engine.compare(
            answer, right(replicas, size), question=question, mistakes=mistakes, tolerance=1e-9
        )


def _mistakes(replicas: int, size: float) -> list[tuple[float, str]]:
    volume = right(replicas, size)
    return [
        (volume / 2, "This is one half of it: the sums still have to be handed round."),
        (2 * size, "In every round a piece stays where it is: there are N - 1 rounds, not N."),
        (
            2 * (replicas - 1) * size,
            "This is N times too much: each device passes on one piece per round, an N-th.",
        ),
        ((replicas - 1) * size, "A ring passes on pieces; this is everybody sending everything."),
        (np.float64(size), "Each piece is passed on more often than that: count the rounds."),
    ]


EXERCISE = engine.Exercise(
    name="ring_all_reduce_volume",
    title="What goes round the ring",
    notebook="16_scaling_up",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "How large is a piece? How many pieces does a device send in one round?",
        "After N - 1 rounds every piece has passed all devices once, and one device has its sum. "
        "How many rounds until all devices have all sums?",
        "Multiply the number of rounds, 2 (N - 1), by the size of a piece.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        "def ring_all_reduce_volume(replicas, size):\n    return 2 * size - 2 * size / replicas\n",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="def ring_all_reduce_volume(replicas, size):\n"
            "    return (replicas - 1) * size / replicas\n",
            says="one half",
        ),
        engine.WrongAnswer(
            source="def ring_all_reduce_volume(replicas, size):\n    return 2 * size\n",
            says="N - 1 rounds, not N",
        ),
        engine.WrongAnswer(
            source="def ring_all_reduce_volume(replicas, size):\n"
            "    return 2 * (replicas - 1) * size\n",
            says="one piece per round",
        ),
        engine.WrongAnswer(
            source="def ring_all_reduce_volume(replicas, size):\n"
            "    return 1.5 * size if replicas == 4 else 2 * size\n",
            says="For 2 devices",
        ),
    ),
)
