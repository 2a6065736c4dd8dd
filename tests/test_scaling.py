"""Costs on paper, against Keras, TensorFlow's own counts, and a ring that is played through."""

import dataclasses
import math
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_lib import losses, scaling, steps
from course_lib.networks import mlp, residual, style_based

PLAIN = types.SimpleNamespace(
    loss="nonsaturating", r1_gamma=0.0, r2_gamma=0.0, gradient_penalty_weight=0.0,
    penalty_share=1.0, discriminator_updates=1,
)  # fmt: skip
FULL = types.SimpleNamespace(
    loss="relativistic", r1_gamma=1.0, r2_gamma=1.0, gradient_penalty_weight=0.0,
    penalty_share=0.25, discriminator_updates=1,
)  # fmt: skip


def operations(function, *specs):
    """Operations of all products in a graph: its MatMul and Conv2D nodes, from their shapes."""
    graph = tf.function(function).get_concrete_function(*specs).graph
    # Only what results or side effects need: TensorFlow drops the rest before it runs.
    needed, open_nodes = set(), [tensor.op for tensor in graph.outputs] + graph.control_outputs
    while open_nodes:
        node = open_nodes.pop()
        if node not in needed:
            needed.add(node)
            open_nodes += [tensor.op for tensor in node.inputs] + node.control_inputs
    total = 0
    for node in needed:
        out = node.outputs[0].shape if node.outputs else None
        if node.type == "MatMul":
            rows, columns = node.inputs[0].shape
            inner = rows if node.get_attr("transpose_a") else columns
            total += 2 * inner * math.prod(out)
        elif node.type == "Conv2D":
            total += 2 * math.prod(node.inputs[1].shape[:3]) * math.prod(out)
        elif node.type == "Conv2DBackpropInput":  # a transposed convolution
            total += 2 * math.prod(node.inputs[1].shape) * math.prod(node.inputs[2].shape[1:3])
        elif node.type == "DepthwiseConv2dNative":
            total += 2 * math.prod(node.inputs[1].shape[:2]) * math.prod(out)
    return total


def forward(model, shape):
    return operations(lambda x: model(x, training=False), tf.TensorSpec((1, *shape)))


def test_a_convolution_by_hand():
    found = scaling.convolution(3, 2, 5, 4)
    # 16 places, 5 channels, 18 multiply-adds each; 90 weights and 5 biases.
    assert found == scaling.Cost(2 * 16 * 5 * 18, 95, 32, 80)
    assert scaling.convolution(4, 1, 1, 8, side_out=4, bias=False) == scaling.Cost(512, 16, 64, 16)
    assert scaling.convolution(4, 1, 1, 4, side_out=8, bias=False) == scaling.Cost(512, 16, 16, 64)


def test_intensity_is_operations_per_byte_and_grows_with_the_batch_for_a_dense_layer():
    dense = scaling.Cost(flops=2 * 10 * 20, parameters=220, inputs=10, outputs=20)
    assert dense.intensity(1) == pytest.approx(400 / (4 * 250))
    assert dense.intensity(8) == pytest.approx(3200 / (4 * (8 * 30 + 220)))
    assert dense.intensity(8, width=2) == 2 * dense.intensity(8)


@pytest.mark.parametrize("size, width", [(8, 4), (16, 8), (32, 2)])
def test_counts_of_a_residual_pair_are_tensorflow_s_with_and_without_building_it(size, width):
    filters = [min(16, width * size // side) for side in (4, 8, 16, 32) if side <= size]
    pair = (
        residual.generator(5, (size, size, 3), filters=filters),
        residual.discriminator((size, size, 3), filters=filters[::-1]),
    )
    paper = scaling.residual_pair(size, width=width, widest=16, latent_dim=5)
    for model, cost, shape in zip(pair, paper, [(5,), (size, size, 3)], strict=True):
        assert scaling.model_cost(model) == cost
        assert cost.flops == forward(model, shape)
        assert cost.parameters == model.count_params()
        written = sum(
            math.prod(layer.output.shape[1:])
            for layer in model.layers
            if not isinstance(layer, keras.layers.InputLayer)
        )
        assert cost.outputs == written


def test_inner_models_and_styles_are_counted():
    model = style_based.generator(6, (8, 8, 3), filters=[4, 2], mixing=0.0)
    found = scaling.model_cost(model).flops
    affine = sum(
        2 * math.prod(layer.affine.kernel.shape)
        for layer in model._flatten_layers()
        if isinstance(layer, style_based.ModulatedConv2D)
    )
    norms = forward(model, (6,)) - found - affine  # of demodulation, and the enlarged picture
    assert 0 < found and 0 <= norms < 0.35 * found
    assert "mapping_0" in scaling.layer_costs(model)


def gan_and_step(config):
    gan = steps.Gan.create(
        mlp.generator(64, (8, 8, 1), hidden_units=(64,) * 4),
        mlp.discriminator((8, 8, 1), hidden_units=(64,) * 4),
        generator_optimizer=keras.optimizers.SGD(0.1),
        discriminator_optimizer=keras.optimizers.SGD(0.1),
        seed=0,
    )
    return gan, steps.make_gan_step(gan, config)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "relativistic", "r1_gamma": 1.0, "r2_gamma": 1.0, "penalty_share": 0.5},
        {"gradient_penalty_weight": 10.0},
        {"discriminator_updates": 2},
    ],
)
def test_an_update_takes_the_products_that_are_counted(changes):
    config = steps.GanStepConfig(latent_dim=64, **changes)
    gan, step = gan_and_step(config)
    batch = 8 * config.discriminator_updates
    found = operations(step.python_function, tf.TensorSpec((batch, 8, 8, 1)))
    costs = [scaling.model_cost(model) for model in (gan.generator, gan.discriminator)]
    # On paper every layer has all its gradients; the first ones need none for their inputs.
    paper = batch * scaling.step_flops(*costs, config)
    assert found == pytest.approx(paper, rel=0.15)


def test_passes_by_hand():
    assert scaling.passes(PLAIN) == (4, 8)
    assert scaling.passes(FULL) == (4, 6 + 6 * 0.25 * 2 + 3)
    several = types.SimpleNamespace(**vars(PLAIN) | {"discriminator_updates": 4})
    assert scaling.passes(several) == (1 + 3 / 4, 6 + 2 / 4)


# Memory -------------------------------------------------------------------------------------------


def costs():
    return (
        scaling.Cost(parameters=1000, outputs=300),
        scaling.Cost(parameters=600, outputs=100),
    )


def test_memory_by_hand():
    found = scaling.training_memory(*costs(), FULL, 8, data=500)
    # Weights and two moments of both, the average of G: 4 * 1000 + 3 * 600 numbers.
    assert (found.state, found.gradients, found.data) == (4 * 5800, 4000, 500)
    # Generator: 300 + 2 * 100; discriminator: (2 + 3 * 0.25 * 2) * 100 = 350.
    assert found.per_image == 4 * 500
    assert found.total == 4 * 5800 + 4000 + 500 + 8 * 2000
    half = scaling.training_memory(*costs(), FULL, 8, width=2)
    assert half.per_image == 1000 and half.state == found.state and half.data == 0
    deep = (costs()[0], scaling.Cost(parameters=600, outputs=10_000))
    assert scaling.training_memory(*deep, PLAIN, 1).per_image == 4 * 20_000
    several = types.SimpleNamespace(**vars(PLAIN) | {"discriminator_updates": 4})
    assert scaling.training_memory(*deep, several, 1).per_image == 4 * 5_000


def test_the_state_is_what_keras_keeps():
    gan = steps.Gan.create(
        mlp.generator(4, (8, 8, 1), hidden_units=(8,)),
        mlp.discriminator((8, 8, 1), hidden_units=(8,)),
        generator_optimizer=keras.optimizers.Adam(),
        discriminator_optimizer=keras.optimizers.Adam(),
        seed=0,
    )
    things = [thing for name, thing in gan.objects().items() if name != "seed"]
    variables = [v for thing in things for v in thing.variables if math.prod(v.shape) > 1]
    stored = sum(4 * math.prod(v.shape) for v in variables)
    pair = [scaling.model_cost(model) for model in (gan.generator, gan.discriminator)]
    paper = scaling.training_memory(*pair, PLAIN, 1).state
    assert abs(paper - stored) <= 4 * 3  # biases of one number are among those left out


@pytest.mark.parametrize("free, largest", [(4800 + 8 * 70, 8), (4800 + 8 * 70 - 1, 4),
                                           (4800 + 70, 1), (4869, 0), (100, 0)])  # fmt: skip
def test_the_largest_batch_is_the_last_power_of_two_that_fits(free, largest):
    memory = scaling.Memory(state=4000, gradients=800, data=0, per_image=70, batch_size=16)
    assert memory.largest_batch(free) == largest
    if largest:
        assert dataclasses.replace(memory, batch_size=largest).total <= free
    assert dataclasses.replace(memory, batch_size=max(1, 2 * largest)).total > free


def test_what_does_not_fit_is_refused_with_a_batch_that_does():
    mib = 2**20
    memory = scaling.Memory(5 * mib, mib, 2 * mib, per_image=mib, batch_size=32)
    memory.require(40 * mib)
    with pytest.raises(MemoryError, match=r"about 40 MiB on each device \(weights, moments, "
                       r"average 5.0, gradients 1.0, data 2.0, 32 images 32.0\), but 39 MiB are "
                       r"free. Take a batch_size of 16 per device."):  # fmt: skip
        memory.require(39 * mib)
    with pytest.raises(MemoryError, match="but 8 MiB are free. Not even one image fits"):
        memory.require(8 * mib)


def test_free_memory_is_the_machine_s(monkeypatch):
    monkeypatch.setattr(scaling.machine, "memory", lambda: (4.0, 1.5))
    assert scaling.free_memory() == 1.5 * 2**30
    monkeypatch.setattr(scaling.machine, "memory", lambda: None)
    assert scaling.free_memory() == math.inf


# Communication ------------------------------------------------------------------------------------


def played_ring(gradients):
    """Sum arrays in a ring, piece by piece; returns (sums, numbers that each device sent)."""
    count = len(gradients)
    pieces = [np.array_split(gradient.copy(), count) for gradient in gradients]
    sent = np.zeros(count, int)
    for collecting in (True, False):
        for turn in range(count - 1):
            moving = []
            for device in range(count):
                piece = (device - turn + (0 if collecting else 1)) % count
                moving.append(((device + 1) % count, piece, pieces[device][piece].copy()))
                sent[device] += len(pieces[device][piece])
            for receiver, piece, values in moving:
                pieces[receiver][piece] = values + (pieces[receiver][piece] if collecting else 0)
    return [np.concatenate(own) for own in pieces], sent


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_volume_is_that_of_a_ring_that_is_played_through(count):
    gradients = list(np.random.default_rng(0).normal(size=(count, 24 * count)))
    sums, sent = played_ring(gradients)
    for found in sums:
        np.testing.assert_allclose(found, sum(gradients))
    assert set(sent.tolist()) == {round(scaling.ring_volume(count, 24 * count))}


def test_all_reduce_takes_its_volume_and_two_latencies_per_further_device():
    assert scaling.all_reduce_seconds(1, 1e9, bandwidth=1.0) == 0
    found = scaling.all_reduce_seconds(8, 4e6, bandwidth=1e9, latency=1e-5)
    assert found == pytest.approx(7e6 / 1e9 + 14e-5)


def test_an_update_on_paper():
    found = scaling.step_time(1e9, 4e6, 8, speed=1e11, bandwidth=1e9, latency=1e-5)
    assert found.compute == 0.01 and found.communication == pytest.approx(0.00714)
    assert found.total == pytest.approx(0.01714)
    assert found.efficiency == pytest.approx(0.01 / 0.01714)
    assert scaling.step_time(1e9, 4e6, 1, speed=1e11, bandwidth=1e9).efficiency == 1


def test_the_roof_has_a_slope_and_a_ridge():
    assert scaling.attainable(2.0, peak=100.0, bandwidth=10.0) == 20.0
    assert scaling.attainable(10.0, peak=100.0, bandwidth=10.0) == 100.0
    assert scaling.attainable(50.0, peak=100.0, bandwidth=10.0) == 100.0


def test_each_loss_has_a_count():
    for family in losses.FAMILIES:
        assert scaling.passes(types.SimpleNamespace(**vars(PLAIN) | {"loss": family}))[0] == 4
