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
