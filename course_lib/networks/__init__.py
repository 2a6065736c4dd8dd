"""Networks as plain functions that return built Keras models; nothing here trains.

`mlp` has the fully connected pair, `dcgan` the convolutional one of 2015, `residual`
a modern pair without batch statistics. Generators map latents (batch, latent_dim) to
images in [-1, 1]; discriminators map images to logits (batch, 1), never to probabilities.
"""


def doublings(size, *, smallest=4):
    """Return how often `smallest` must be doubled to reach `size`.

    Raises:
        ValueError: if `size` is not `smallest` times a power of two.
    """
    count = (size // smallest).bit_length() - 1
    if size < 2 * smallest or smallest * 2**count != size:
        choices = ", ".join(str(smallest * 2**k) for k in range(1, 7))
        raise ValueError(f"image size must be one of {choices}, got {size}.")
    return count


def square_side(image_shape):
    """Return the side of a square (height, width, channels) shape, or raise ValueError."""
    if len(image_shape) != 3 or image_shape[0] != image_shape[1]:
        raise ValueError(
            f"image_shape must be (size, size, channels), got {tuple(image_shape)}; "
            "crop or resize the images to squares first."
        )
    return image_shape[0]


def carry_over(smaller, larger, *, ends_at):
    """Copy the weights of the layers that two sizes of one network share: growing, step by step.

    Layers with weights are paired one after the other, from the end where both networks work on
    small maps, for as long as the shapes agree; the rest of `larger` keeps its fresh weights.

    Args:
        smaller: trained Keras model.
        larger: built Keras model for larger images, changed in place.
        ends_at: "latents" pairs from the first layer on (generators), "logits" from the last
            one back (discriminators).

    Returns:
        Names of the layers of `larger` that took over weights, in the order of pairing.

    Raises:
        ValueError: for another `ends_at`, or if not even the first pair agrees.
    """
    if ends_at not in ("latents", "logits"):
        raise ValueError(f"ends_at must be 'latents' or 'logits', got {ends_at!r}.")
    sides = [[layer for layer in network.layers if layer.weights] for network in (smaller, larger)]
    if ends_at == "logits":
        sides = [side[::-1] for side in sides]
    taken = []
    for source, target in zip(*sides, strict=False):
        shapes = [[tuple(weight.shape) for weight in layer.weights] for layer in (source, target)]
        if shapes[0] != shapes[1]:
            break
        target.set_weights(source.get_weights())
        taken.append(target.name)
    if not taken:
        raise ValueError(
            f"{smaller.name} and {larger.name} share no layer at the {ends_at}: {sides[0][0].name} "
            f"and {sides[1][0].name} have weights of other shapes. At twice the size, half the "
            "base_filters keep the inner layers the same."
        )
    return taken
