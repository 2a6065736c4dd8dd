"""What is wrong with a running GAN, named from its recorded measurements.

Each detector looks at the mean over the last records, since a single one of a game proves little,
and answers with the numbers that it went by.
"""

from typing import NamedTuple

import numpy as np

WINDOW = 15  # records that are averaged
FEWEST = 8  # records below which nothing is said
# Limits, chosen between healthy and broken runs on eight Gaussians, ring and moons; the test of the
# gallery measures how often each fires on either.
SURE_AUC = 0.95
FEW_REACHED, NARROW, ON_DATA = 0.65, 0.5, 0.4
RESTLESS = 0.6  # of the standard deviation of the data, per record
HUGE_LOGIT, FAR_SPREAD = 1e4, 20.0


class Finding(NamedTuple):
    """A named fault and the numbers behind it."""

    name: str
    evidence: str


def diagnose(rows, *, scale=1.0):
    """Return what is wrong, the worst first; an empty list where nothing is.

    Args:
        rows: list of dicts as in `Laboratory.rows`: real_logit, fake_logit, auc, reach, on_data,
            spread and motion (see there) are used; the rows of the first half step or of a run's
            start may lack some.
        scale: standard deviation of the data, the unit of motion.

    Returns:
        List of `Finding`: "divergence", "saturated discriminator", "mode collapse",
        "oscillation".
    """
    if rows and not _finite(rows[-1]):
        return [Finding("divergence", f"nan or infinity at tick {rows[-1]['tick']}")]
    if len(rows) < FEWEST:
        return []
    recent = rows[-WINDOW:]

    def mean(name, otherwise=0.0):
        values = [row[name] for row in recent if name in row]
        return float(np.mean(values)) if values else otherwise

    found = []
    logit = max(abs(mean("real_logit")), abs(mean("fake_logit")))
    auc, reach, on_data = mean("auc"), mean("reach", 1.0), mean("on_data")
    spread, motion = mean("spread"), mean("motion") / scale
    if logit > HUGE_LOGIT or spread > FAR_SPREAD:
        found.append(
            Finding("divergence", f"logits of {logit:.3g}, spread {spread:.3g} times the data's")
        )
    if auc > SURE_AUC:
        found.append(
            Finding("saturated discriminator", f"D orders {auc:.1%} of (real, fake) pairs rightly")
        )
    if reach < FEW_REACHED and (spread < NARROW or on_data > ON_DATA):
        found.append(
            Finding(
                "mode collapse",
                f"only {reach:.0%} of the real points have a generated one near; "
                f"spread {spread:.2f} times the data's",
            )
        )
    if motion > RESTLESS:
        found.append(
            Finding(
                "oscillation",
                f"points go {motion:.1f} standard deviations from record to record",
            )
        )
    return found


def _finite(row):
    return all(np.isfinite(value) for value in row.values())


__all__ = ["Finding", "diagnose"]
