"""What a training costs, on paper: operations, bytes, seconds of communication.

Counts are per image and per device; a multiply-add is two operations. Nothing here trains or
measures: it is arithmetic on the sizes of layers.
"""

import dataclasses
import math

from course_lib import machine

FLOAT32, BFLOAT16 = 4, 2  # bytes
PENALTY_PASSES = 6  # forward, slope at the images, and back through both


# Counting ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one forward pass of a layer or a network takes, for one image.

    Attributes:
        flops: operations of multiplications with kernels; all others are left out.
        parameters: trainable numbers.
        inputs, outputs: numbers read and written by all layers, kernels left out. `outputs` is
            what a training keeps for the backward pass.
    """

    flops: int = 0
    parameters: int = 0
    inputs: int = 0
    outputs: int = 0

    def __add__(self, other):
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Cost(*map(sum, pairs))

    def intensity(self, batch_size, *, width=FLOAT32):
        """Return operations per byte, if each number is read from and written to memory once."""
        numbers = batch_size * (self.inputs + self.outputs) + self.parameters
        return batch_size * self.flops / (width * numbers)


def convolution(kernel_size, channels_in, channels_out, side, *, side_out=None, bias=True):
    """Return the `Cost` of a convolution from side x side to side_out x side_out, by default equal.

    Each kernel is applied once per place of the smaller of the two maps: the output of a strided
    convolution, the input of a transposed one.
    """
    side_out = side_out or side
    kernel = kernel_size**2 * channels_in * channels_out
    return Cost(
        flops=2 * kernel * min(side, side_out) ** 2,
        parameters=kernel + (channels_out if bias else 0),
        inputs=channels_in * side**2,
        outputs=channels_out * side_out**2,
    )


def layer_costs(model):
    """Return dict of layer name -> `Cost` of a built functional Keras model, inner models included.

    Sub-layers that a layer calls by itself are not seen.
    """
    return {
        layer.name: _layer_cost(layer)
        for layer in model._flatten_layers(include_self=False)  # Keras has no public walk
        # Neither inner models, whose layers are listed, nor inputs, which compute nothing.
        if layer._inbound_nodes and not (hasattr(layer, "layers") or hasattr(layer, "batch_shape"))
    }


def _layer_cost(layer):
    inputs, outputs = _shapes(layer.input), _shapes(layer.output)
    kernel = getattr(layer, "kernel", None)
    places = min(math.prod(inputs[0][1:-1]), math.prod(outputs[0][1:-1]))
    return Cost(
        flops=0 if kernel is None else 2 * math.prod(kernel.shape) * places,
        parameters=sum(math.prod(weight.shape) for weight in layer.trainable_weights),
        inputs=sum(math.prod(shape[1:]) for shape in inputs),
        outputs=sum(math.prod(shape[1:]) for shape in outputs),
    )


def _shapes(tensors):
    tensors = tensors if isinstance(tensors, list | tuple) else [tensors]
    return [tuple(tensor.shape) for tensor in tensors]


def residual_pair(size, *, width=16, widest=128, latent_dim=64):
    """Return the `Cost`s of `networks.residual`'s (generator, discriminator), unbuilt.

    Args:
        size: side of the colour images, 4 times a power of two.
        width: channels at the full size; each halving doubles them, up to `widest`.
        latent_dim: length of a latent.
    """
    sides = [2**k for k in range(2, size.bit_length())]
    filters = [min(widest, width * size // side) for side in sides]
    first = 16 * filters[0]
    generator = _elementwise(latent_dim) + _elementwise(latent_dim) + _elementwise(first)
    generator += Cost(2 * latent_dim * first, (latent_dim + 1) * first, latent_dim, first)
    generator += _block(filters[0], 4)
    discriminator = convolution(3, 3, filters[-1], size) + _block(filters[0], 4)
    for side, wide, narrow in zip(sides[1:], filters[:-1], filters[1:], strict=True):
        large, small = narrow * side**2, narrow * side**2 // 4
        if wide != narrow:
            generator += convolution(1, wide, narrow, side // 2, bias=False)
            discriminator += convolution(1, narrow, wide, side // 2, bias=False)
        generator += Cost(inputs=small, outputs=large) + _block(narrow, side)  # up-sampling
        discriminator += Cost(inputs=large, outputs=small) + _block(narrow, side)  # pooling
    generator += _elementwise(filters[-1] * size**2) + convolution(3, filters[-1], 3, size)
    generator += _elementwise(3 * size**2)
    discriminator += _elementwise(first) + _elementwise(filters[0])  # activation, flattening
    discriminator += Cost(2 * first, first + filters[0], first, filters[0])  # depthwise 4x4
    return generator, discriminator + Cost(2 * filters[0], filters[0] + 1, filters[0], 1)


def _elementwise(numbers):
    return Cost(inputs=numbers, outputs=numbers)


def _block(width, side):
    """Two activations and convolutions, and the sum with what came in."""
    numbers, half = width * side**2, convolution(3, width, width, side)
    return half + half + Cost(inputs=4 * numbers, outputs=3 * numbers)


def model_cost(model):
    """Return the `Cost` of one forward pass of a built Keras model: the sum over its layers."""
    return sum(layer_costs(model).values(), Cost())


def passes(config):
    """Return how often an update runs forward through (generator, discriminator), per image.

    A backward pass counts as two, or one where only the slope at the input is wanted; a penalised
    image counts as `PENALTY_PASSES`.

    Args:
        config: with loss, penalty_share, discriminator_updates and the three weights of penalties,
            such as a `steps.GanStepConfig`.
    """
    kinds = sum(map(bool, (config.r1_gamma, config.r2_gamma, config.gradient_penalty_weight)))
    discriminator = 2 * 3 + PENALTY_PASSES * config.penalty_share * kinds
    # The generator answers the last of several updates of D, on its part of the batch alone.
    share = 1 / config.discriminator_updates
    answer = 3 if config.loss == "relativistic" else 2
    return 1 + 3 * share, discriminator + answer * share


def step_flops(generator, discriminator, config):
    """Return the operations of a whole update per image of the batch, from two `Cost`s."""
    of_generator, of_discriminator = passes(config)
    return of_generator * generator.flops + of_discriminator * discriminator.flops


# Memory ------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes that a training needs on a device; `print` it before training starts.

    Attributes:
        state: weights, moments of the optimizers, moving average.
        gradients: of the network with more weights.
        data: pictures that stay on the device.
        per_image: what is kept of each image of a batch for the backward pass.
        batch_size: images on this device.
    """

    state: int
    gradients: int
    data: int
    per_image: int
    batch_size: int

    @property
    def fixed(self):
        """Bytes that do not depend on the batch."""
        return self.state + self.gradients + self.data

    @property
    def total(self):
        """Bytes at the peak."""
        return self.fixed + self.batch_size * self.per_image

    def largest_batch(self, available):
        """Return the largest batch, a power of two, that fits into so many bytes; 0 if none."""
        images = int((available - self.fixed) // self.per_image)
        return 2 ** (images.bit_length() - 1) if images > 0 else 0

    def require(self, available):
        """Raise unless the training fits into so many bytes.

        Raises:
            MemoryError: naming both numbers and a batch size that fits, if there is one.
        """
        if self.total <= available:
            return
        fitting = self.largest_batch(available)
        way_out = (
            f"Take a batch_size of {fitting} per device."
            if fitting
            else "Not even one image fits: take smaller networks or images, or stream the data."
        )
        raise MemoryError(f"{self}, but {available / 2**20:,.0f} MiB are free. {way_out}")

    def __str__(self):
        parts = {
            "weights, moments, average": self.state,
            "gradients": self.gradients,
            "data": self.data,
            f"{self.batch_size} images": self.batch_size * self.per_image,
        }
        listed = ", ".join(f"{name} {size / 2**20:,.1f}" for name, size in parts.items() if size)
        return f"Training needs about {self.total / 2**20:,.0f} MiB on each device ({listed})"


def training_memory(generator, discriminator, config, batch_size, *, data=0, width=FLOAT32):
    """Return the `Memory` of a GAN update with Adam and a moving average.

    Of every layer's output one copy is kept: for the generator's update those of the generator and
    of the discriminator on generated (and, if relativistic, real) images; for the discriminator's,
    its outputs on both kinds, and three more copies for each penalised image: its own pass, its
    slopes, and the slopes of those. The larger of the two counts.

    Args:
        generator, discriminator: their `Cost`.
        config: as for `passes`.
        batch_size: images on this device.
        data: bytes of pictures that stay on the device.
        width: bytes of a number between layers; weights have 4.
    """
    kinds = sum(map(bool, (config.r1_gamma, config.r2_gamma, config.gradient_penalty_weight)))
    share = 1 / config.discriminator_updates
    both = 2 if config.loss == "relativistic" else 1
    for_d = (2 + 3 * config.penalty_share * kinds) * discriminator.outputs * share
    for_g = (generator.outputs + both * discriminator.outputs) * share
    return Memory(
        # Weights and two moments of both, and the average.
        state=FLOAT32 * (4 * generator.parameters + 3 * discriminator.parameters),
        gradients=FLOAT32 * max(generator.parameters, discriminator.parameters),
        data=data,
        per_image=math.ceil(width * max(for_d, for_g)),
        batch_size=batch_size,
    )


def free_memory():
    """Return the bytes that this machine has to give to a training on its CPU, or infinity."""
    amount = machine.memory()
    return amount[1] * machine.GIB if amount else math.inf


# Communication -----------------------------------------------------------------------------------


def ring_volume(replicas, size):
    """Return the bytes that each replica sends in a ring all-reduce of `size` bytes.

    In N - 1 rounds every replica passes on an N-th while sums are formed, and in N - 1 more while
    the sums are handed round: 2 (N - 1) / N times the size, below twice of it for any N.

    Source: Patarasuk and Yuan 2009, section 3, https://doi.org/10.1016/j.jpdc.2008.09.002.
    """
    return 2 * (replicas - 1) / replicas * size


def all_reduce_seconds(replicas, size, *, bandwidth, latency=0.0):
    """Return the time of a ring all-reduce: its volume, and the latency of 2 (N - 1) rounds.

    Args:
        replicas: their number N, at least 1.
        size: bytes that are summed.
        bandwidth: of the slowest link of the ring, bytes per second, each way.
        latency: seconds per round.
    """
    return ring_volume(replicas, size) / bandwidth + 2 * (replicas - 1) * latency


@dataclasses.dataclass(frozen=True)
class StepTime:
    """Seconds of an update on each of several devices: `compute`, and `communication` after it."""

    compute: float
    communication: float

    @property
    def total(self):
        """Seconds, if nothing is sent while computing."""
        return self.compute + self.communication

    @property
    def efficiency(self):
        """Share of the time in which devices compute: 1 for one device."""
        return self.compute / self.total


def step_time(flops, gradient_bytes, replicas, *, speed, bandwidth, latency=0.0):
    """Return the `StepTime` of an update whose devices compute first and then sum gradients.

    Args:
        flops: operations of the update on one device.
        gradient_bytes: of all gradients together.
        replicas: number of devices.
        speed: operations per second that a device reaches in such an update.
        bandwidth, latency: as in `all_reduce_seconds`.
    """
    communication = all_reduce_seconds(
        replicas, gradient_bytes, bandwidth=bandwidth, latency=latency
    )
    return StepTime(flops / speed, communication)


def attainable(intensity, *, peak, bandwidth):
    """Return the roofline: operations per second that so many operations per byte allow.

    Source: Williams, Waterman and Patterson 2009, https://doi.org/10.1145/1498765.1498785.
    """
    return min(peak, intensity * bandwidth)


__all__ = [
    "Cost",
    "Memory",
    "StepTime",
    "all_reduce_seconds",
    "attainable",
    "convolution",
    "free_memory",
    "layer_costs",
    "model_cost",
    "passes",
    "residual_pair",
    "ring_volume",
    "step_flops",
    "step_time",
    "training_memory",
]
