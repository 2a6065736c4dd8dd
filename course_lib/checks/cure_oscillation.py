"""Exercise of notebook 02: settings that cure the run that oscillates."""

from course_lib.checks.cure_collapse import judge_cure
from course_lib.checks.engine import Exercise, WrongAnswer


def _check(attempt):
    judge_cure(attempt, "B")


EXERCISE = Exercise(
    name="cure_oscillation",
    title="Cure the run that oscillates",
    notebook="02_gan_lab",
    minutes=15,
    difficulty=2,
    stub='''\
def cure_oscillation():
    """Return what to change in BROKEN_RUNS["B"].settings, as a dict such as {"depth": 2}.

    Anything but data and seed may be changed.
    """
    return ...
''',
    hints=(
        "Who is faster, the generator or the discriminator? And what does momentum do to a player "
        "whose goal moves?",
        "Let the discriminator learn at least as fast as the generator, and take the optimizer "
        "without momentum.",
        'Add the penalty "R1", which damped the Dirac game in notebook 01.',
    ),
    solution='''\
def cure_oscillation():
    """Return what to change in BROKEN_RUNS["B"].settings, as a dict such as {"depth": 2}.

    Anything but data and seed may be changed.
    """
    return {"optimizer": "adam", "d_learning_rate": 1e-3, "penalty": "R1"}
''',
    explanation=(
        "The generator moved five times as fast as the discriminator could answer, and momentum "
        "carried it on after the answer had changed. With equal speeds and no momentum it follows; "
        "R1 flattens the field around the data, so that it can come to rest there."
    ),
    check=_check,
    right_answers=(
        """\
def cure_oscillation():
    changes = {"optimizer": "adam", "d_learning_rate": 2e-3, "g_learning_rate": 2e-3}
    changes.update(penalty="R1+R2", gamma=0.5, loss="relativistic")
    return changes
""",
    ),
    wrong_answers=(
        WrongAnswer(
            source="def cure_oscillation():\n    return {'depth': 2}\n", says="oscillation"
        ),
        WrongAnswer(
            source="def cure_oscillation():\n    return {'g_learning_rate': 5e-3}\n",
            says="After 2,000 steps",
        ),
        WrongAnswer(
            source="def cure_oscillation():\n    return {'seed': 1}\n", says="leave `seed` as it is"
        ),
        WrongAnswer(source="def cure_oscillation():\n    return {}\n", says="Return a dict"),
    ),
    seconds=5.0,
)
