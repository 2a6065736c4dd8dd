"""The GAN on points with second derivatives: 25 Gaussians, relativistic loss, R1 and R2.

torch.compile has no second derivatives.
"""

from course_lib.laboratory import Settings
from tests.benchmarks.rows.points_gan import EAGER, TARGET, row

SETTINGS = Settings(
    data="25_gaussians", loss="relativistic", penalty="R1+R2", depth=3, width=128, batch_size=128
)


def prepare(worker):
    title = "GAN on points, 25 Gaussians, relativistic, R1 and R2, 3 x 128, batch 128"
    return row(worker, title, SETTINGS, EAGER, TARGET)
