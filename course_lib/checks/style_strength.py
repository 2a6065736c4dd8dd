"""Exercise of notebook 12: several styles at once, and less of them."""

import numpy as np

from course_lib.checks import engine

STUB = '''\
def style_strength(features, restyled, shares, strength):
    """Return the features that the decoder draws for several styles at a strength.

    features: the content's own, NumPy array (height, width, channels), float64.
    restyled: NumPy array (styles, height, width, channels), float64: for each style the features
        with its statistics, from `adain`.
    shares: NumPy array (styles,), float64, at least 0, not all 0; their sum need not be 1.
    strength: float from 0 (the content's own features) to 1 (the styles alone).
    """
    return ...
'''

SOLUTION = '''\
def style_strength(features, restyled, shares, strength):
    """Return the features that the decoder draws for several styles at a strength.

    features: the content's own, NumPy array (height, width, channels), float64.
    restyled: NumPy array (styles, height, width, channels), float64: for each style the features
        with its statistics, from `adain`.
    shares: NumPy array (styles,), float64, at least 0, not all 0; their sum need not be 1.
    strength: float from 0 (the content's own features) to 1 (the styles alone).
    """
    mixed = np.tensordot(shares / shares.sum(), restyled, axes=1)
    return (1 - strength) * features + strength * mixed
'''

EXPLANATION = """\
Two weighted means, one inside the other: of the styles, then of the result with the content's own
features. In a weighted mean the weights add up to 1; with shares of 2 and 6 that are not divided by
8 the features would be eight times too large, of which the decoder has never seen anything.

`np.tensordot(weights, restyled, axes=1)` sums over the last axis of the first and the first axis
of the second. `np.average(restyled, axis=0, weights=shares)` does the same, division included.

Source: Huang and Belongie 2017, equations 14 and 15, https://arxiv.org/abs/1703.06868."""


def check(attempt: engine.Attempt) -> None:
    """Asks for three styles at strength 0.7, then for both ends."""
    generator = np.random.default_rng(0)
    features, restyled = generator.normal(size=(2, 3, 2)), generator.normal(size=(3, 2, 3, 2))
    shares = np.array([1.0, 0.5, 2.5])
    actual = engine.numbers(attempt(features, restyled, shares, 0.7), shape=features.shape)
    mixed = np.average(restyled, axis=0, weights=shares)
    engine.compare(
        actual,
        0.3 * features + 0.7 * mixed,
        question="For three styles with the shares 1, 0.5, 2.5 and the strength 0.7",
        mistakes=_mistakes(features, restyled, shares),
    )
    for strength, expected in ((0.0, features), (1.0, mixed)):
        actual = engine.numbers(attempt(features, restyled, shares, strength), shape=(2, 3, 2))
        engine.compare(actual, expected, question=f"For the strength {strength:g}")


def _mistakes(features, restyled, shares):
    mixed = np.average(restyled, axis=0, weights=shares)
    total = np.einsum("k,khwc->hwc", shares, restyled)
    return [
        (
            0.3 * features + 0.7 * total,
            "The shares have to be divided by their sum, which is 4 here.",
        ),
        (
            0.7 * features + 0.3 * mixed,
            "The strength is turned around: at 1 nothing of the content's own is left.",
        ),
        (
            features + 0.7 * mixed,
            "The content counts in full beside the styles. Both weights have to add up to 1.",
        ),
        (0.7 * mixed, "The content's own features are missing; they count the rest."),
        (mixed, "This is strength 1. What of the content's own features is left at 0.7?"),
        (
            0.3 * features + 0.7 * restyled.mean(axis=0),
            "You take the plain mean of the styles, whatever the shares are.",
        ),
        (
            0.3 * features + 0.7 * mixed / len(shares),
            "You divide by the number of styles as well. The shares are enough.",
        ),
    ]


EXERCISE = engine.Exercise(
    name="style_strength",
    title="Mix styles, and take less of them",
    notebook="12_fast_style_transfer",
    minutes=10,
    difficulty=2,
    stub=STUB,
    hints=(
        "First the styles among themselves: a mean in which each counts by its share.",
        "Then that mean and the content's own features: with which two weights, adding up to 1?",
        "`np.average(restyled, axis=0, weights=shares)` is the first of the two means.",
    ),
    solution=SOLUTION,
    explanation=EXPLANATION,
    check=check,
    right_answers=(
        """\
def style_strength(features, restyled, shares, strength):
    return features + strength * (np.average(restyled, axis=0, weights=shares) - features)
""",
        """\
def style_strength(features, restyled, shares, strength):
    result = (1 - strength) * features
    for share, one in zip(shares, restyled):
        result = result + strength * share / sum(shares) * one
    return tf.constant(result)
""",
    ),
    wrong_answers=(
        engine.WrongAnswer(
            source="""\
def style_strength(features, restyled, shares, strength):
    mixed = np.tensordot(shares, restyled, axes=1)
    return (1 - strength) * features + strength * mixed
""",
            says="divided by their sum",
        ),
        engine.WrongAnswer(
            source="""\
def style_strength(features, restyled, shares, strength):
    mixed = np.average(restyled, axis=0, weights=shares)
    return strength * features + (1 - strength) * mixed
""",
            says="turned around",
        ),
        engine.WrongAnswer(
            source="""\
def style_strength(features, restyled, shares, strength):
    return features + strength * np.average(restyled, axis=0, weights=shares)
""",
            says="counts in full",
        ),
        engine.WrongAnswer(
            source="""\
def style_strength(features, restyled, shares, strength):
    return (1 - strength) * features + strength * restyled.mean(axis=0)
""",
            says="plain mean",
        ),
        engine.WrongAnswer(
            source="""\
def style_strength(features, restyled, shares, strength):
    return 0.3 * features + 0.7 * np.average(restyled, axis=0, weights=shares)
""",
            says="For the strength 0",
        ),
    ),
)
