"""Exercise of notebook 16: how many images fit."""

from course_lib.checks import engine

STUB = '''\
def largest_batch(available, parameters, numbers_per_image):
    """Return the largest batch whose training fits into the memory, a whole number, maybe 0.

    available: bytes. Every number, of weights and between layers, is a float32.
    parameters: trainable numbers. Adam keeps two further numbers of each, and while an update
        runs there is a gradient of each.
    numbers_per_image: what the backward pass needs of every image.
    """
    return ...
'''

SOLUTION = '''\
def largest_batch(available, parameters, numbers_per_image):
    """Return the largest batch whose training fits into the memory, a whole number, maybe 0.

    available: bytes. Every number, of weights and between layers, is a float32.
    parameters: trainable numbers. Adam keeps two further numbers of each, and while an update
        runs there is a gradient of each.
    numbers_per_image: what the backward pass needs of every image.
    """
    fixed = 4 * 4 * parameters
    return max(0, (available - fixed) // (4 * numbers_per_image))
'''

EXPLANATION = """\
Weights, two moments and gradients are four numbers of 4 bytes for each parameter, whatever the
batch. What is left is shared among the images, rounded down. Where even the fixed part does not
fit, no batch does, and the answer is 0, not a negative number.

For convolutional networks the second part is usually much the larger: that is why halving the
batch, or keeping activations in 16 bits, helps at once, and smaller weights hardly do."""

CASES = (
    ("For 1,010 bytes, 10 parameters and 7 numbers per image", (1010, 10, 7)),
    ("Where the batch fills the memory exactly", (160 + 5 * 28, 10, 7)),
    ("Where not even the weights fit", (100, 10, 7)),
    ("For 2 GiB, 900,000 parameters and 700,000 numbers per image", (2**31, 900_000, 700_000)),
)


def right(available: int, parameters: int, numbers_per_image: int) -> int:
    """Returns the right answer; the tests find it by trying one batch after the other."""
    return max(0, (available - 16 * parameters) // (4 * numbers_per_image))


def check(attempt: engine.Attempt) -> None:
    """Asks where mistakes can be told apart, then at the edges, then for a real network."""
    for number, (question, arguments) in enumerate(CASES):
        answer = engine.numbers(attempt(*arguments), shape=(), what="batch")
        mistakes = () if number else _mistakes(*arguments)
        if number == 2 and float(answer) < 0:
            raise engine.Wrong("There is no batch of fewer than 0 images: the answer is 0 then.")
        engine.compare(
            answer, right(*arguments), question=question, mistakes=mistakes, tolerance=1e-9
        )


def _mistakes(available, parameters, numbers_per_image) -> list[tuple[float, str]]:
    per_image, weights = 4 * numbers_per_image, 4 * parameters
    exact = (available - 4 * weights) / per_image
    return [
        (exact, "A part of an image cannot be trained on: round down."),
        (-(-(available - 4 * weights) // per_image), "Rounded up, it no longer fits."),
        (available // per_image, "You forget what does not depend on the batch."),
        ((available - weights) // per_image, "Adam's moments and the gradients are missing."),
        ((available - 2 * weights) // per_image, "Adam keeps two numbers for each parameter."),
        (
            (available - 3 * weights) // per_image,
            "Weights, two moments: the gradients are missing.",
        ),
        ((available - 4 * parameters) // numbers_per_image, "A float32 has 4 bytes."),
    ]


EXERCISE = engine.Exercise(
    name="largest_batch",
    title="How many images fit",
    notebook="16_scaling_up",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "Which part of the memory depends on the batch, and which does not?",
        "Of each parameter there are its weight, two moments and a gradient: 4 numbers of 4 bytes.",
        "Subtract the fixed part, divide by the bytes of an image, round down, and mind what is "
        "left when nothing fits.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        "def largest_batch(available, parameters, numbers_per_image):\n"
        "    left = available / 4 - 4 * parameters\n"
        "    return int(left / numbers_per_image) if left > 0 else 0\n",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="def largest_batch(available, parameters, numbers_per_image):\n"
            "    return (available - 16 * parameters) / (4 * numbers_per_image)\n",
            says="round down",
        ),
        engine.WrongAnswer(
            source="def largest_batch(available, parameters, numbers_per_image):\n"
            "    return (available - 4 * parameters) // (4 * numbers_per_image)\n",
            says="moments and the gradients",
        ),
        engine.WrongAnswer(
            source="def largest_batch(available, parameters, numbers_per_image):\n"
            "    return (available - 16 * parameters) // (4 * numbers_per_image)\n",
            says="fewer than 0",
        ),
    ),
)
