"""Exercise of notebook 08: three faults told apart by their numbers."""

import numpy as np

from course_lib.checks import engine

FAULTS = ("divergence", "discriminator wins", "mode collapse")

STUB = '''\
def diagnose_runs(runs):
    """Return a dict: name of the run -> "divergence", "discriminator wins" or "mode collapse".

    runs: dict: name -> dict of NumPy arrays (reports,), "d_loss", "g_loss", "real_logit",
        "fake_logit", "diversity" (of samples; 1: as real images). The last report counts.
    """
    return ...
'''

BODY = """\
    found = {}
    for name, run in runs.items():
        if not np.isfinite([values[-1] for values in run.values()]).all():
            found[name] = "divergence"
        elif run["diversity"][-1] < 0.3:
            found[name] = "mode collapse"
        else:
            found[name] = "discriminator wins"
    return found
"""

SOLUTION = STUB.replace("    return ...\n", BODY)

EXPLANATION = """\
A run that has diverged shows it anywhere: nan or inf in any column. It has to be asked first,
since every comparison with nan is False.

Collapse does not show in the losses: one good picture, drawn again and again, can keep the
discriminator as busy as many would. It shows in the diversity of the samples, near 0.

A discriminator that wins shows in its own numbers: d_loss near 0, real and fake logits far apart,
g_loss large. Of the three faults it is what is left here; in a run of your own ask for it by name,
and for "none of these" as well. A moment early in the run says little: an untrained generator is
"collapsed", too, until it has learned to listen to its latents."""


def _run(last, *, seed, first=None):
    """Ten reports that wander from ordinary numbers to the given last ones."""
    random = np.random.default_rng(seed)
    start = CALM | {"diversity": 0.8} | (first or {})
    columns = {}
    for name, value in start.items():
        end = last.get(name, value)
        line = np.linspace(value, end if np.isfinite(end) else value, 10)
        columns[name] = line + 0.02 * np.abs(value) * random.standard_normal(10)
        columns[name][-1] = end
    return columns


CALM = {"d_loss": 1.1, "g_loss": 1.0, "real_logit": 0.5, "fake_logit": -0.5}
WON = {"d_loss": 1e-4, "g_loss": 11.0, "real_logit": 9.5, "fake_logit": -11.0}
CASES = (
    ("divergence", "a loss that is nan at the end", {"d_loss": np.nan, "g_loss": np.nan}, None),
    ("mode collapse", "calm losses and diversity 0.03", {"diversity": 0.03}, None),
    ("discriminator wins", "d_loss 0.0001 and diversity 0.7", WON | {"diversity": 0.7}, None),
    ("divergence", "an infinite logit and diversity 0", {"fake_logit": -np.inf, "diversity": 0.0},
     None),
    ("mode collapse", "diversity 0.1 after a start in which D was sure", CALM | {"diversity": 0.1},
     {"d_loss": 1e-3, "real_logit": 7.0, "fake_logit": -7.0}),
    ("discriminator wins", "d_loss 0.01 and a start with diversity 0",
     {"d_loss": 0.01, "g_loss": 6.0, "real_logit": 5.0, "fake_logit": -6.0, "diversity": 0.6},
     {"diversity": 0.002}),
)  # fmt: skip


def check(attempt: engine.Attempt) -> None:
    """Asks twice, with three runs each; the second three have what misleads."""
    for part, names in ((CASES[:3], ("first", "second", "third")), (CASES[3:], ("x", "y", "z"))):
        runs = {
            name: _run(last, seed=seed, first=first)
            for seed, (name, (_, _, last, first)) in enumerate(zip(names, part, strict=True))
        }
        answer = attempt(runs)
        if not isinstance(answer, dict) or set(answer) != set(runs):
            raise engine.Wrong(
                f"Return a dict with the names of the runs, {', '.join(runs)}. Yours is "
                f"{str(answer)[:100]}."
            )
        for name, (fault, words, _, _) in zip(names, part, strict=True):
            if answer[name] not in FAULTS:
                raise engine.Wrong(
                    f"A run's fault is one of {', '.join(FAULTS)}. Yours is {answer[name]!r}."
                )
            if answer[name] != fault:
                raise engine.Wrong(
                    f"A run with {words} is no case of “{answer[name]}”. What tells?"
                )


EXERCISE = engine.Exercise(
    name="diagnose_runs",
    title="Three broken runs",
    notebook="08_stable_faces",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "Which of the three faults is visible in every column, which in the losses, and which in "
        "the diversity alone?",
        "Look at the last report, `values[-1]`. Ask for nan and inf first, with np.isfinite: "
        "comparisons with nan are always False.",
        "After that, a diversity far below 1 is a collapse, whatever the losses say.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def diagnose_runs(runs):
    def fault(run):
        last = np.array([values[-1] for values in run.values()])
        if np.isnan(last).any() or np.isinf(last).any():
            return "divergence"
        if run["real_logit"][-1] - run["fake_logit"][-1] > 5:
            return "discriminator wins"
        return "mode collapse"

    return {name: fault(run) for name, run in runs.items()}
""",
    ),
    wrong_answers=tuple(
        engine.WrongAnswer(source=f"def diagnose_runs(runs):\n{body}", says=says)
        for body, says in (
            ("    return ['mode collapse'] * len(runs)\n", "Return a dict with the names"),
            (
                "    return dict.fromkeys(runs, 'collapse')\n",
                "is one of divergence, discriminator wins, mode collapse",
            ),
            (
                "    return dict.fromkeys(runs, 'mode collapse')\n",
                "a loss that is nan at the end is no case of “mode collapse”",
            ),
            (BODY.replace("[-1]", "[0]"), "is no case of “discriminator wins”"),
            (
                BODY.replace('["diversity"][-1]', '["diversity"].min()'),
                "d_loss 0.01 and a start with diversity 0 is no case of “mode collapse”",
            ),
            (
                BODY.replace('["diversity"][-1] < 0.3', '["d_loss"].min() > 0.1'),
                "diversity 0.1 after a start in which D was sure",
            ),
            (
                BODY.replace("[values[-1] for values in run.values()]", 'run["d_loss"][-1]'),
                "an infinite logit and diversity 0",
            ),
        )
    ),
)
