"""Exercise of notebook 09: styles moved towards their mean, in some layers."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def truncation(styles, mean, psi, cutoff):
    """Return the styles, moved towards the mean in the first `cutoff` layers.

    styles: NumPy array (batch, num_layers, style_dim), float64.
    mean: NumPy array (style_dim,), float64, the mean style.
    psi: number; 1 changes nothing, 0 puts the mean in place of the style.
    cutoff: whole number from 0 to num_layers; the layers from there on stay as they are.
    """
    return ...
'''

SOLUTION = '''\
def truncation(styles, mean, psi, cutoff):
    """Return the styles, moved towards the mean in the first `cutoff` layers.

    styles: NumPy array (batch, num_layers, style_dim), float64.
    mean: NumPy array (style_dim,), float64, the mean style.
    psi: number; 1 changes nothing, 0 puts the mean in place of the style.
    cutoff: whole number from 0 to num_layers; the layers from there on stay as they are.
    """
    layers = np.arange(styles.shape[1])
    factors = np.where(layers < cutoff, psi, 1.0)
    return mean + factors[:, None] * (styles - mean)
'''

EXPLANATION = """\
Truncation shortens the way from the mean to a style. A factor for each layer, psi or 1, gets an
axis for the entries of the style, and NumPy does the rest.

Scaling the style itself, `psi * styles`, pulls towards 0. For latents that is the mean; for styles
it is a point like any other, which the generator never saw.

With a cutoff only what the first layers decide is made more usual. Part D measures what that is:
for these small avatars nearly everything. Where the late layers decide about colours, as they do
in generators of large photographs, the colours stay as varied as they were.

Source: Karras et al. 2019, appendix B, https://arxiv.org/abs/1812.04948."""


def check(attempt: engine.Attempt) -> None:
    """Asks for several psi and cutoffs together; each alone could look like another mistake."""
    generator = np.random.default_rng(1)
    styles, mean = generator.normal(size=(2, 4, 3)), np.array([1.0, -2.0, 0.5])
    cases = [(0.5, 4), (0.5, 2), (0.0, 1), (1.5, 3), (0.7, 0)]
    results = [attempt(styles, mean, psi, cutoff) for psi, cutoff in cases]
    actual = np.stack([engine.numbers(result, shape=styles.shape) for result in results])

    def all_cases(function):
        return np.stack([function(psi, np.arange(4)[:, None] < cutoff) for psi, cutoff in cases])

    mistakes = [
        (
            all_cases(lambda psi, early: np.where(early, psi * styles, styles)),
            "You pull the styles towards 0. Their mean is somewhere else.",
        ),
        (
            all_cases(lambda psi, early: mean + psi * (styles - mean)),
            "You change every layer. Those from `cutoff` on have to stay as they are.",
        ),
        (
            all_cases(lambda psi, early: np.where(early, styles, mean + psi * (styles - mean))),
            "You change the late layers. It is the first `cutoff` that have to move.",
        ),
        (
            all_cases(lambda psi, early: np.where(early, styles + psi * (mean - styles), styles)),
            "psi works the other way round here: 1 has to change nothing.",
        ),
        (
            all_cases(lambda psi, early: np.where(early, psi * (styles - mean), styles)),
            "You return the difference to the mean. Where does it start?",
        ),
    ]
    expected = all_cases(lambda psi, early: np.where(early, mean + psi * (styles - mean), styles))
    question = "For (psi, cutoff) = (0.5, 4), (0.5, 2), (0, 1), (1.5, 3), (0.7, 0)"
    engine.compare(actual, expected, question=question, mistakes=mistakes)


EXERCISE = engine.Exercise(
    name="truncation",
    title="Truncate some layers",
    notebook="09_style_based_faces",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "Start with all layers: the mean, plus psi times the way from the mean to the style.",
        "Layers from `cutoff` on: which psi changes nothing?",
        "Make one factor for each layer, psi or 1, and give it an axis: `factors[:, None]`.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def truncation(styles, mean, psi, cutoff):
    result = styles.copy()
    result[:, :cutoff] = (1 - psi) * mean + psi * styles[:, :cutoff]
    return result
""",
        """\
def truncation(styles, mean, psi, cutoff):
    early = tf.constant(mean + psi * (styles[:, :cutoff] - mean))
    return tf.concat([early, tf.constant(styles[:, cutoff:])], axis=1)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def truncation(styles, mean, psi, cutoff):
    result = styles.copy()
    result[:, :cutoff] *= psi
    return result
""",
            says="towards 0",
        ),
        engine.WrongAnswer(
            source="""\
def truncation(styles, mean, psi, cutoff):
    return mean + psi * (styles - mean)
""",
            says="every layer",
        ),
        engine.WrongAnswer(
            source="""\
def truncation(styles, mean, psi, cutoff):
    result = styles.copy()
    result[:, cutoff:] = mean + psi * (result[:, cutoff:] - mean)
    return result
""",
            says="late layers",
        ),
        engine.WrongAnswer(
            source="""\
def truncation(styles, mean, psi, cutoff):
    result = styles.copy()
    result[:, :cutoff] = psi * mean + (1 - psi) * result[:, :cutoff]
    return result
""",
            says="other way round",
        ),
        engine.WrongAnswer(
            source="""\
def truncation(styles, mean, psi, cutoff):
    styles[:, :cutoff] = mean + psi * (styles[:, :cutoff] - mean)
    return styles
""",
            says="changed the array",
        ),
        engine.WrongAnswer(
            source="""\
def truncation(styles, mean, psi, cutoff):
    result = styles.copy()
    result[:cutoff] = mean + psi * (result[:cutoff] - mean)
    return result
""",
            says="For (psi, cutoff)",
        ),
    ),
)
