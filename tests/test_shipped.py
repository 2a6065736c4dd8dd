"""Every shipped network loads, does what its provenance says, and is small."""

import keras
import numpy as np
import pytest

from course_lib import checkpoints, features, metrics, shipped, steps
from course_lib.datasets import avatars, catalog, images

MOST_BYTES = {"avatar_encoder": 3_000_000, "attribute_reader": 3_000_000, "faces_64": 6_000_000}
MOST_BYTES |= {"style_encoder": 6_000_000}
MOST_BYTES |= dict.fromkeys(("style_swirls", "style_woodcut"), 1_000_000)
MOST_BYTES |= {"style_stained_glass": 1_000_000, "style_adain": 1_100_000}


@pytest.mark.parametrize("name", shipped.names())
def test_a_shipped_network_says_how_it_was_made(name):
    facts = shipped.facts(name)
    assert facts["command"].startswith("python recipes/")
    assert {"seed", "commit", "minutes", "machine", "network"} <= facts.keys()


@pytest.mark.parametrize("name", shipped.names())
def test_a_shipped_network_is_small_and_its_checksum_right(name):
    path = shipped.FOLDER / f"{name}.npz"
    assert path.stat().st_size <= MOST_BYTES[name]
    checkpoints.load_weights(shipped.load(name), path)  # raises if sha256 or shapes differ


def test_the_encoder_is_as_accurate_as_it_says():
    pixels, labels = avatars.make(500, size=64, seed=123)
    predicted = features.predict_attributes(images.to_float(pixels))
    for name, stated in shipped.facts("avatar_encoder")["accuracy at 64 pixels"].items():
        accuracy = np.mean(predicted[name] == labels[name])
        assert accuracy >= stated - 4 * np.sqrt(stated * (1 - stated) / 500) - 0.01, name


def test_the_attribute_reader_is_as_accurate_as_it_says():
    data = catalog.load("expressions", count=300, split="test", seed=77)
    logits = shipped.load("attribute_reader").predict(data.images, batch_size=100, verbose=0)
    start = 0
    for name, stated in shipped.facts("attribute_reader")["accuracy"].items():
        assert name not in ("mouth", "glasses")
        end = start + len(avatars.ATTRIBUTES[name])
        accuracy = np.mean(logits[:, start:end].argmax(axis=1) == data.labels[name])
        assert accuracy >= stated - 4 * np.sqrt(stated * (1 - stated) / 300) - 0.01, name
        start = end
    assert start == logits.shape[1]


def test_the_generator_is_as_good_as_it_says():
    """Fewer samples than in the recipe: the estimate is unbiased, its scatter larger."""
    facts = shipped.facts("faces_64")
    fake_images = steps.sample(shipped.load("faces_64"), 1000, latent_dim=64, seed=7)
    pixels, _ = avatars.make(1000, size=64, seed=456)
    real = features.extract(images.to_float(pixels))
    fake = features.extract(fake_images)
    found = metrics.kernel_distance_with_error(real, fake, subsets=5)
    assert (
        abs(found.value - facts["kernel_distance"])
        < 0.3 * facts["kernel_distance"] + 5 * found.standard_error
    )


def test_the_generator_draws_every_value_of_every_attribute_about_as_often_as_it_says():
    stated = shipped.facts("faces_64")
    assert stated["missing values"] == []
    assert max(stated["total variation"].values()) <= 0.1
    fake_images = steps.sample(shipped.load("faces_64"), 1000, latent_dim=64, seed=8)
    predicted = features.predict_attributes(fake_images)
    for name, values in avatars.ATTRIBUTES.items():
        shares = np.bincount(predicted[name], minlength=len(values)) / 1000
        missing = [values[code] for code in np.flatnonzero(shares == 0)]
        assert not missing, f"{name}: no {missing}"
        variation = np.abs(shares - 1 / len(values)).sum() / 2
        # 1,000 samples have a variation of their own: about the root of values / (2 pi 1000).
        chance = np.sqrt(len(values) / (2 * np.pi * 1000))
        assert abs(variation - stated["total variation"][name]) < 2 * chance, name


def test_a_network_that_is_saved_loads_equal_to_half_precision(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    arguments = {"latent_dim": 4, "image_shape": [8, 8, 3], "base_filters": 2}
    model = shipped.BUILDERS["dcgan.generator"](**arguments)
    before = {"seed": 2, "before": {"seed": 1}}
    shipped.save(
        model, "mine", builder="dcgan.generator", arguments=arguments, seed=3, before=before
    )
    assert shipped.names() == ("mine",) and shipped.facts("mine")["seed"] == 3
    assert [run["seed"] for run in shipped.history("mine")] == [1, 2, 3]
    copy = shipped.load("mine")
    for ours, theirs in zip(model.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)
    assert not copy.trainable_variables
    shipped.load.cache_clear()


def test_a_shipped_network_is_float32_whatever_the_policy(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    arguments = {"latent_dim": 4, "image_shape": [8, 8, 3], "base_filters": 2}
    model = shipped.BUILDERS["dcgan.generator"](**arguments)
    shipped.save(model, "mine", builder="dcgan.generator", arguments=arguments)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert shipped.load("mine").compute_dtype == "float32"
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy(policy)
        shipped.load.cache_clear()


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="no network 'faces_46' is shipped; there are: .*faces_64"):
        shipped.load("faces_46")


def test_an_unknown_builder_is_refused():
    with pytest.raises(ValueError, match="builder must be one of .*got 'lambda'"):
        shipped.save(None, "mine", builder="lambda", arguments={})
