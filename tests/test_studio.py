"""The studio without widgets: looks, undo, files, and what is drawn."""

import json

import keras
import numpy as np
import pytest

from course_lib import latent_space, studio
from course_lib.networks import style_based
from course_lib.studio import History, Look, Session, Studio

ATTRIBUTES = {"glasses": np.eye(6)[1], "beard": np.array([0, 0.6, 0.8, 0, 0, 0])}


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(0)
    return style_based.generator(8, (16, 16, 3), filters=(8, 6, 4), style_dim=6)


@pytest.fixture
def desk(generator):
    return Studio(generator, ATTRIBUTES)


def seed_latent(seed):
    return np.random.default_rng(seed).standard_normal(8).astype("float32")


# Undo --------------------------------------------------------------------------------------------


def test_undo_and_redo_go_through_the_states():
    history = History(1)
    for state in (2, 3):
        history.change(state)
    seen = [history.state]
    for step in (history.undo, history.undo, history.undo, history.redo, history.redo):
        step()
        seen.append(history.state)
    assert seen == [3, 2, 1, 1, 2, 3]


def test_a_change_after_undo_forgets_what_was_undone():
    history = History(1)
    history.change(2)
    history.undo()
    history.change(5)
    history.redo()
    assert history.state == 5
    history.undo()
    assert history.state == 1


def test_changes_of_one_key_are_undone_together_and_others_alone():
    history = History(0)
    for state, key in ((1, "x"), (2, "x"), (3, "y"), (4, None), (5, None)):
        history.change(state, key)
    seen = []
    for _ in range(4):
        history.undo()
        seen.append(history.state)
    assert seen == [4, 3, 2, 0]


def test_after_an_undo_the_same_key_begins_anew():
    history = History(0)
    history.change(1, "x")
    history.change(2, "y")
    history.undo()
    history.change(3, "x")
    history.undo()
    assert history.state == 1


def test_no_change_is_nothing_to_undo():
    history = History(Session())
    history.change(Session(Look(amounts={})), "x")
    history.change(Session(Look(x=0.5)), None)
    history.undo()
    history.undo()
    assert history.state == Session()


# Files -------------------------------------------------------------------------------------------


def test_a_session_comes_back_as_it_was_saved(tmp_path):
    styles = np.random.default_rng(0).standard_normal((5, 6)).astype("float32")
    look = Look((5, 6, 7, 8), 0.25, 0.5, 0.9, 11, ("middle",), {"beard": -1.5}, ("glasses",))
    session = Session(look, (Look(), Look(own="own 2")))
    path = tmp_path / "a" / "mine.json"
    studio.save(path, session, {"own 1": styles, "own 2": styles + 1})
    found, own = studio.load(path)
    assert found == session and list(own) == ["own 2"]
    np.testing.assert_array_equal(own["own 2"], styles + 1)
    assert [each.name for each in path.parent.iterdir()] == ["mine.json"]


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        '{"look": {}, "frames": []}',
        '{"look": {"size": 3}, "frames": [], "own": {}}',
        json.dumps({"look": {"own": "gone"}, "frames": [], "own": {}}),
    ],
)
def test_a_file_that_is_no_session_is_named(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match="bad.json is no saved session of the latent studio"):
        studio.load(tmp_path / "bad.json")


@pytest.mark.parametrize("look", [Look(), Look(x=0.3, amounts={"beard": 2.0}), Look(own="own 1")])
def test_the_code_draws_the_same_picture(desk, generator, look):
    desk.own["own 1"] = np.random.default_rng(0).standard_normal((5, 6)).astype("float32")
    text = studio.code(look, desk.own).replace("plots.image_grid(", "drawn = (")
    cell = {"generator": generator, "attributes": ATTRIBUTES, "normals": None}
    exec(text, cell)
    np.testing.assert_array_equal(cell["drawn"][0], desk.image(look))


# Drawing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("corner, place", list(enumerate([(0, 0), (1, 0), (0, 1), (1, 1)])))
def test_a_corner_of_the_lattice_is_the_picture_of_its_seed(desk, generator, corner, place):
    look = Look(seeds=(10, 11, 12, 13), x=place[0], y=place[1], psi=1.0)
    expected = generator(seed_latent(10 + corner)[None])[0]
    np.testing.assert_allclose(desk.image(look), expected, atol=1e-5)


def test_between_two_corners_the_latents_are_on_the_arc(desk, generator):
    a, b = seed_latent(10).astype(float), seed_latent(11).astype(float)
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    middle = (np.sin(0.7 * angle) * a + np.sin(0.3 * angle) * b) / np.sin(angle)
    expected = generator(middle[None].astype("float32"))[0]
    found = desk.image(Look(seeds=(10, 11, 12, 13), x=0.3, psi=1.0))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_mean_is_that_of_many_styles(desk, generator):
    mapping = generator.get_layer("mapping")
    styles = mapping.predict(
        np.random.default_rng(5).standard_normal((4000, 8)).astype("float32"), verbose=0
    )
    np.testing.assert_allclose(desk.mean, styles.mean(axis=0), atol=5 * styles.std() / 2000**0.5)
    np.testing.assert_allclose(
        desk.deviations["glasses"], styles[:, 1].std(), rtol=0.1
    )  # its direction is the second axis


def test_psi_0_is_the_mean_whatever_the_seeds(desk):
    first, second = (desk.styles(Look(seeds=(s,) * 4, psi=0.0)) for s in (1, 2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, np.tile(desk.mean, (5, 1)))


def test_psi_scales_the_way_from_the_mean(desk):
    full, half = (desk.styles(Look(psi=psi)) for psi in (1.0, 0.5))
    np.testing.assert_allclose(half - desk.mean, 0.5 * (full - desk.mean), atol=1e-6)


def test_swapped_groups_come_from_the_other_seed(desk):
    base, other = desk.styles(Look(psi=1.0)), desk.styles(Look(seeds=(9,) * 4, psi=1.0))
    groups = latent_space.layer_groups(5)
    for name, layers in groups.items():
        mixed = desk.styles(Look(other=9, swapped=(name,), psi=1.0))
        for layer in range(5):
            source = other if layer in layers else base
            np.testing.assert_array_equal(mixed[layer], source[layer])


def test_swapping_all_groups_is_the_other_seed_bit_for_bit(desk):
    everything = Look(other=9, swapped=("coarse", "middle", "fine"))
    np.testing.assert_array_equal(desk.image(everything), desk.image(Look(seeds=(9,) * 4)))


def test_an_amount_moves_every_layer_by_so_many_deviations(desk):
    moved = desk.styles(Look(amounts={"glasses": 2.0})) - desk.styles(Look())
    expected = 2.0 * desk.deviations["glasses"] * np.eye(6)[1]
    np.testing.assert_allclose(moved, np.tile(expected, (5, 1)), atol=1e-6)


def test_a_lock_takes_its_part_out_of_the_other_directions(desk):
    look = Look(amounts={"beard": 1.0, "component 1": 1.0}, locked=("glasses",))
    step = desk.deviations["beard"] * ATTRIBUTES["beard"]
    step = step + desk.deviations["component 1"] * desk.directions["component 1"]
    step[1] = 0  # the locked direction is the second axis
    np.testing.assert_allclose(desk.offset(look), step, atol=1e-6)


def test_a_lock_goes_by_the_normal_where_there_is_one(generator):
    desk = Studio(generator, ATTRIBUTES, {"glasses": np.eye(6)[2]})
    offset = desk.offset(Look(amounts={"beard": 1.0}, locked=("glasses",)))
    expected = desk.deviations["beard"] * np.array([0, 0.6, 0, 0, 0, 0])
    np.testing.assert_allclose(offset, expected, atol=1e-9)


def test_a_locked_direction_keeps_what_it_had(desk):
    look = Look(amounts={"beard": 1.0, "glasses": 3.0}, locked=("glasses",))
    assert desk.offset(look)[1] == pytest.approx(3.0 * desk.deviations["glasses"])


def test_the_components_are_the_principal_directions_of_the_styles(desk, generator):
    styles = latent_space.draw_styles(generator.get_layer("mapping"), 2000, seed=0)
    directions, deviations = latent_space.principal_directions(styles, 3)
    assert list(desk.directions) == ["component 1", "component 2", "component 3", *ATTRIBUTES]
    for index in range(3):
        np.testing.assert_allclose(desk.directions[f"component {index + 1}"], directions[index])
        assert desk.deviations[f"component {index + 1}"] == pytest.approx(
            deviations[index], rel=1e-3
        )


def test_a_projected_picture_takes_the_place_of_the_lattice(desk):
    styles = np.random.default_rng(0).standard_normal((5, 6)).astype("float32")
    desk.own["own 1"] = styles
    np.testing.assert_allclose(desk.styles(Look(own="own 1", psi=1.0)), styles, atol=1e-6)


@pytest.mark.parametrize(
    "look, message",
    [
        (Look(swapped=("rough",)), "swapped names rough; there is: coarse, middle, fine"),
        (Look(amounts={"hat": 1.0}), "amounts names hat; there is: component 1"),
        (Look(locked=("hat",)), "locked names hat"),
        (Look(own="own 3"), "own names own 3; there is: nothing"),
    ],
)
def test_what_the_studio_does_not_have_is_named(desk, look, message):
    with pytest.raises(ValueError, match=message):
        desk.styles(look)


def test_a_film_goes_straight_from_key_to_key(desk):
    looks = [Look(seeds=(s,) * 4) for s in (1, 2, 3)]
    film = desk.film(looks, between=4)
    assert film.shape == (9, 5, 6)
    keys = [desk.styles(look) for look in looks]
    for index, key in zip((0, 4, 8), keys, strict=True):
        np.testing.assert_array_equal(film[index], key)
    np.testing.assert_allclose(film[5], 0.75 * keys[1] + 0.25 * keys[2], atol=1e-6)


def test_a_projection_may_start_at_the_mean_style(desk):
    target = desk.synthesis(latent_space.per_layer(desk.mean[None], 5)).numpy()[0]
    found = next(desk.project(target, steps=1))
    np.testing.assert_allclose(found.styles, np.tile(desk.mean, (5, 1)), atol=1e-6)


def test_a_film_of_one_look_is_refused(desk):
    with pytest.raises(ValueError, match="at least two key frames, got 1"):
        desk.film([Look()])


@pytest.mark.parametrize("per_layer", [True, False])
def test_a_projection_starts_at_the_nearest_of_some_random_styles(desk, per_layer):
    known = latent_space.draw_styles(desk._mapping, studio.SAMPLES, seed=0)[studio.STARTS - 1]
    target = desk.synthesis(latent_space.per_layer(known[None], 5)).numpy()[0]
    found = list(desk.project(target, per_layer=per_layer, steps=20))
    np.testing.assert_allclose(found[0].styles, np.tile(known, (5, 1)), atol=1e-6)
    *_, found = desk.project(0.9 * target, per_layer=per_layer, steps=5)
    assert (np.ptp(found.styles, axis=0).max() > 0) == per_layer
