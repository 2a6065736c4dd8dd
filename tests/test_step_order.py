"""What a compiled step reads, it reads before its update overwrites it, in the graph that runs too.

TensorFlow rewrites the graph of a function before running it. Where that lost the order between the
reading of a variable and its update, the result depended on which of two threads was quicker.
"""

import keras
import pytest
import tensorflow as tf
from tensorflow.python.eager import context  # nothing public shows the graph that runs

from course_lib import steps
from course_lib.networks import dcgan, points

WRITES = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


def graphs(function, *arguments):
    """The graphs of a function before and after TensorFlow's rewriting: name -> node."""
    concrete = function.get_concrete_function(*arguments)
    context.enable_run_metadata()
    try:
        context.export_run_metadata()  # drops what earlier tests have left
        concrete(*arguments)
        metadata = context.export_run_metadata()
    finally:
        context.disable_run_metadata()
    (found,) = (g for g in metadata.function_graphs if writes(g.post_optimization_graph.node))
    return [
        {node.name: node for node in graph.node}
        for graph in (found.pre_optimization_graph, found.post_optimization_graph)
    ]


def writes(nodes):
    return [node for node in nodes if node.op in WRITES]


def source(name):
    return name.removeprefix("^").split(":")[0]


def ancestors(nodes, name):
    found, waiting = set(), [name]
    while waiting:
        for one in map(source, nodes[waiting.pop()].input):
            if one in nodes and one not in found:
                found.add(one)
                waiting.append(one)
    return found


def lost_orders(before, after):
    """(read, write) of one variable whose order is in the first graph but not in the second."""
    reads = [node for node in before.values() if node.op == "ReadVariableOp"]
    lost, ordered = [], 0
    for write in writes(before.values()):
        was, now = ancestors(before, write.name), ancestors(after, write.name)
        for read in reads:
            same = source(read.input[0]) == source(write.input[0])
            if same and read.name in was and read.name in after:
                ordered += 1
                if read.name not in now:
                    lost.append((read.name, write.name))
    assert (
        ordered
    )  # otherwise the two graphs name their nodes differently, and nothing was compared
    return lost


def adam():
    return keras.optimizers.Adam(1e-3, 0.0, 0.99)


def point_gan():
    pair = points.generator(2, hidden_units=(8,)), points.discriminator(hidden_units=(8,))
    return gan_of(*pair), tf.zeros((16, 2)), 2


def image_gan():
    generator = dcgan.generator(latent_dim=4, image_shape=(16, 16, 3), base_filters=4)
    discriminator = dcgan.discriminator((16, 16, 3), base_filters=4, batch_norm=False)
    return gan_of(generator, discriminator), tf.zeros((8, 16, 16, 3)), 4


def gan_of(generator, discriminator):
    return steps.Gan.create(
        generator, discriminator,
        generator_optimizer=adam(), discriminator_optimizer=adam(), seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("make", [point_gan, image_gan])
@pytest.mark.parametrize(("loss", "updates"), [("nonsaturating", 1), ("relativistic", 2)])
def test_no_step_loses_the_order_of_a_read_and_an_update(make, updates, loss):
    gan, real, latent_dim = make()
    config = steps.GanStepConfig(
        latent_dim, loss, r1_gamma=1.0, r2_gamma=1.0, gradient_penalty_weight=1.0,
        discriminator_updates=updates,
    )  # fmt: skip
    assert lost_orders(*graphs(steps.make_gan_step(gan, config), real)) == []


@pytest.mark.parametrize("half", [0, 1])
def test_no_half_step_loses_it(half):
    gan, real, latent_dim = point_gan()
    config = steps.GanStepConfig(latent_dim, r1_gamma=1.0)
    assert lost_orders(*graphs(steps.make_half_steps(gan, config)[half], real)) == []
