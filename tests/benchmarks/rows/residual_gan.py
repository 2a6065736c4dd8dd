"""Our residual pair with the relativistic loss, R1 and R2: 32x32 colour images in batches of 32.

torch.compile has no second derivatives, which both penalties need; `Model.fit` would be our own
step in another loop.
"""

from course_lib import steps
from course_lib.networks import residual
from tests.benchmarks.rows.image_gans import Case

LATENT_DIM, SHAPE, FILTERS = 64, (32, 32, 3), (128, 128, 64, 64)

CASE = Case(
    "our residual GAN with R1 and R2, 32x32x3, batch 32",
    lambda: (
        residual.generator(LATENT_DIM, SHAPE, filters=FILTERS),
        residual.discriminator(SHAPE, filters=FILTERS[::-1]),
    ),
    steps.GanStepConfig(
        latent_dim=LATENT_DIM, loss="relativistic", r1_gamma=1.0, r2_gamma=1.0, penalty_share=0.25,
        reuse_fakes=True,
    ),
    shape=SHAPE,
    batch=32,
    rate=2e-3,
    betas=(0.0, 0.99),
)  # fmt: skip


def prepare(worker):
    return CASE.row(
        worker, compiled=False, fitted=False,
        target={"PyTorch eager, float32": 2.5, "fastest PyTorch": 1.3},
    )  # fmt: skip
