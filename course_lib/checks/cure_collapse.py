"""Exercise of notebook 02: settings that cure the run that collapses."""

import dataclasses

from course_lib.checks.engine import Exercise, Wrong, WrongAnswer

TICKS = 2_000
NEAR = 0.25  # largest sliced Wasserstein distance; cured runs have 0.08 to 0.14, untrained ones 0.4


def judge_cure(attempt, name):
    """Train broken run `name` with the learner's changes; raise `Wrong` unless it is well.

    Args:
        attempt: the learner's function, without arguments; it returns a dict of settings.
        name: key of `lab_settings.BROKEN_RUNS`.
    """
    # Here, because checks come without TensorFlow until one is run that needs it.
    from course_lib.diagnosis import diagnose
    from course_lib.lab_settings import BROKEN_RUNS
    from course_lib.laboratory import Laboratory

    changes, run = attempt(), BROKEN_RUNS[name]
    if not isinstance(changes, dict) or not changes:
        raise Wrong(f"Return a dict of settings to change, name and value. Yours is {changes!r}.")
    if forbidden := changes.keys() & {"data", "seed", "strokes", "brush"}:
        raise Wrong(f"Cure the training, not the task: leave `{forbidden.pop()}` as it is.")
    try:
        settings = dataclasses.replace(run.settings, **changes)
    except (TypeError, ValueError) as error:
        raise Wrong(f"These settings can't be made: {error}") from None
    if settings == run.settings:
        raise Wrong("These are the settings that the broken run has already.")
    lab = Laboratory(settings)
    lab.run(TICKS)
    found = diagnose(lab.rows, scale=float(lab.real.points.std(axis=0).mean()))
    if found:
        raise Wrong(f"After {TICKS:,} steps: {found[0].name} ({found[0].evidence}).")
    distance = sum(row["sliced_wasserstein"] for row in lab.rows[-5:]) / 5
    if distance > NEAR:
        raise Wrong(
            f"No fault is named any more, but after {TICKS:,} steps the sliced Wasserstein "
            f"distance to the data is {distance:.2f}: too far, it has to be at most {NEAR}."
        )


def _check(attempt):
    judge_cure(attempt, "A")


EXERCISE = Exercise(
    name="cure_collapse",
    title="Cure the run that collapses",
    notebook="02_gan_lab",
    minutes=20,
    difficulty=3,
    stub='''\
def cure_collapse():
    """Return what to change in BROKEN_RUNS["A"].settings, as a dict such as {"depth": 3}.

    Anything but data and seed may be changed. Try it in the panel first: choose broken run A,
    move the controls, press reset, play.
    """
    return ...
''',
    hints=(
        "Watch the points while it plays: they go together, as one. Who is too fast?",
        "Give the generator no more than the discriminator's learning rate, and take the optimizer "
        "without momentum.",
        'Add a penalty that flattens the field around the data: "R1", as in notebook 01.',
    ),
    solution='''\
def cure_collapse():
    """Return what to change in BROKEN_RUNS["A"].settings, as a dict such as {"depth": 3}.

    Anything but data and seed may be changed. Try it in the panel first: choose broken run A,
    move the controls, press reset, play.
    """
    return {"optimizer": "adam", "g_learning_rate": 1e-3, "penalty": "R1"}
''',
    explanation=(
        "Between two answers of the discriminator the generator had time to bring every point to "
        "the place where the answer was highest: one place. The discriminator then learned to call "
        "that place generated, and all points went over to the other mode. At equal speed each "
        "point follows the slope where it is; without momentum it stops when the slope does; and "
        "R1 makes the slope vanish on the data, so that points can stay in both modes."
    ),
    check=_check,
    right_answers=(
        """\
def cure_collapse():
    rate = 1e-3
    return dict(loss="wasserstein", penalty="WGAN-GP", optimizer="adam",
                d_learning_rate=rate, g_learning_rate=rate)
""",
    ),
    wrong_answers=(
        WrongAnswer(source="def cure_collapse():\n    return {'depth': 3}\n", says="mode collapse"),
        WrongAnswer(
            source="def cure_collapse():\n    return {'data': 'ring'}\n",
            says="leave `data` as it is",
        ),
        WrongAnswer(
            source="def cure_collapse():\n    return {'learning_rate': 1e-3}\n",
            says="can't be made",
        ),
        WrongAnswer(
            source="def cure_collapse():\n    return 'WGAN-GP'\n", says="Return a dict of settings"
        ),
        WrongAnswer(
            source="def cure_collapse():\n    return {'loss': 'hinge'}\n",
            says="has already",
        ),
        WrongAnswer(
            source=(
                "def cure_collapse():\n"
                "    return {'d_learning_rate': 1e-5, 'g_learning_rate': 1e-5}\n"
            ),
            says="distance to the data",
        ),
    ),
    seconds=5.0,
)
