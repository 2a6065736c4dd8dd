"""The laboratory's picture: each layer is where the numbers say, in the colour that they say."""

import dataclasses

import numpy as np
import pytest

from course_lib.datasets import points
from course_lib.laboratory import Laboratory, Settings
from course_lib.widgets import lab_picture

PIXELS = 200
SMALL = Settings(data="two_gaussians", depth=1, width=8, batch_size=32)


@pytest.fixture(scope="module")
def lab():
    lab = Laboratory(SMALL)
    lab.run(30)
    return lab


def drawn(lab, *layers):
    return np.asarray(lab_picture.draw(lab, layers, pixels=PIXELS)).astype(int)


def test_nothing_is_drawn_where_no_layer_is_on(lab):
    assert (drawn(lab) == 255).all()


@pytest.mark.parametrize("layer", lab_picture.LAYERS)
def test_each_layer_changes_the_picture_and_is_repeatable(lab, layer):
    picture = drawn(lab, layer)
    assert (picture != 255).any()
    np.testing.assert_array_equal(picture, drawn(lab, layer))


def test_looking_changes_nothing(lab):
    before = lab._machine.state()
    drawn(lab, *lab_picture.LAYERS)
    for key, value in lab._machine.state().items():
        np.testing.assert_array_equal(before[key], value)


def test_real_points_are_blue_dots_where_they_are(lab):
    picture = drawn(lab, "real")
    blue = picture[..., 2] > picture[..., 0] + 30
    rows, columns = np.nonzero(blue)
    where = np.stack([columns, PIXELS - rows], 1) / PIXELS * 2 * points.EXTENT - points.EXTENT
    gaps = np.linalg.norm(where[:, None] - lab.real.modes[None], axis=-1).min(axis=1)
    assert gaps.max() < 4.5 * lab.real.sigma and len(where) > 200


def test_the_field_is_the_sigmoid_of_the_logit_with_its_top_row_up(lab):
    field = lab_picture.discriminator_field(lab)
    top_left = lab.logits(np.array([[-1.0, 1.0]], "float32") * (points.EXTENT * (1 - 1 / 48)))
    assert field[0, 0] == pytest.approx(1 / (1 + np.exp(-top_left[0])), abs=1e-5)
    picture = drawn(lab, "discriminator")
    bluer = (picture[..., 2] - picture[..., 0])[2::4, 2::4]  # a pixel near each cell's middle
    cells = field[:: 48 // 16, :: 48 // 16]
    coarse = bluer[:: bluer.shape[0] // 16, :: bluer.shape[1] // 16][:16, :16]
    assert np.corrcoef(cells.ravel(), coarse.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("loss", ["least_squares", "hinge", "wasserstein", "relativistic"])
def test_every_loss_gives_a_field_from_0_to_1(loss):
    other = Laboratory(dataclasses.replace(SMALL, loss=loss))
    other.run(10)
    field = lab_picture.discriminator_field(other)
    assert field.min() >= 0 and field.max() <= 1 and np.ptp(field) > 0.01


class Perfect:
    """A laboratory whose generator draws from the data's own distribution."""

    def __init__(self, name="two_gaussians", shift=0.0):
        self.real, self.shift = points.load(name, 20_000), shift
        self.name = name

    def fake_points(self, count, *, seed=0):
        return points.load(self.name, count, seed=seed + 50).points + np.float32(self.shift)


@pytest.mark.parametrize("name", ["two_gaussians", "ring"])
def test_the_optimum_against_a_perfect_generator_is_undecided_everywhere(name):
    field = lab_picture.optimal_field(Perfect(name))
    assert np.abs(field - 0.5).max() < 0.12


def test_the_optimum_is_p_over_p_plus_q_of_the_smoothed_densities():
    shifted = Perfect(shift=0.8)
    field = lab_picture.optimal_field(shifted)
    variance = 0.25**2 + lab_picture.SMOOTHING**2

    def mixture(where, modes):
        gaps = ((where[:, None] - modes[None]) ** 2).sum(-1)
        return np.exp(-gaps / (2 * variance)).mean(1) / (2 * np.pi * variance)

    centres = lab_picture.field_centres()
    p = mixture(centres, shifted.real.modes)
    q = mixture(centres, shifted.real.modes + 0.8)
    somewhere = p + q > 0.1
    optimum = (p / (p + q))[somewhere]
    assert np.abs(field.ravel()[somewhere] - optimum).max() < 0.1


def test_a_smoothed_density_integrates_to_one():
    density = lab_picture.smoothed_density(points.load("ring", 20_000).points)
    cell = 2 * points.EXTENT / lab_picture.FIELD
    assert density.sum() * cell**2 == pytest.approx(1, abs=0.01)


def test_the_grid_has_cells_of_equal_probability(lab):
    grid = lab_picture.grid_points(lab)
    assert grid.shape == (lab_picture.CELLS + 1, lab_picture.CELLS + 1, 2)
    one = Laboratory(dataclasses.replace(SMALL, latent_dim=1))
    assert lab_picture.grid_points(one).shape == (10 * lab_picture.CELLS + 1, 2)
    four = Laboratory(dataclasses.replace(SMALL, latent_dim=4))
    assert lab_picture.grid_points(four) is None
    assert (drawn(four, "grid") != 255).any()  # it says why there is none


def test_points_that_are_not_finite_or_far_away_are_drawn_without_an_error():
    where = lab_picture.to_pixels([[np.nan, np.inf], [1e30, -1e30]], PIXELS)
    assert np.isfinite(where).all()


def test_an_unknown_layer_is_refused(lab):
    with pytest.raises(ValueError, match=r"\['fog'\] are no layers; there are discriminator"):
        lab_picture.draw(lab, ("fog",))
