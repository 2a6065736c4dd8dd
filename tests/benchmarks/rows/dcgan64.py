"""The DCGAN of PyTorch's example: 64x64 colour images in batches of 64.

Networks, batch, Adam and the update of https://github.com/pytorch/examples/tree/main/dcgan: D on
real and on generated images in two passes, then G through the same generated images against the
updated D. Three layers of ours have a bias that the example has not; PyTorch's side has them, too.
"""

from course_lib import steps
from course_lib.networks import dcgan
from tests.benchmarks.rows.image_gans import Case

LATENT_DIM, SHAPE = 100, (64, 64, 3)

CASE = Case(
    "DCGAN of PyTorch's example, 64x64x3, batch 64",
    lambda: (dcgan.generator(LATENT_DIM, SHAPE), dcgan.discriminator(SHAPE)),
    steps.GanStepConfig(latent_dim=LATENT_DIM, reuse_fakes=True),
    shape=SHAPE,
    batch=64,
    rate=2e-4,
    betas=(0.5, 0.999),
)


def prepare(worker):
    return CASE.row(worker, target={"PyTorch eager, float32": 2.5, "fastest PyTorch": 1.3})
