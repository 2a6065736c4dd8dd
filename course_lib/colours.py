r"""Colours of one picture on another: the two ways of Gatys et al. 2017 to keep them.

Either the style gets the content's colours before the transfer (`matched`), or the result gets
them afterwards (`with_colours_of`). Source: section 5, https://arxiv.org/abs/1611.07865.
"""

import numpy as np

# Luminance of RGB after ITU-R BT.601, as in YIQ.
LUMINANCE = np.array([0.299, 0.587, 0.114])


def luminance(image):
    """Return the luminance of a float picture (height, width, 3), as (height, width, 1)."""
    return (_picture(image) @ LUMINANCE)[..., None]


def with_colours_of(image, content):
    """Return a picture with its own luminance and the colours of another.

    Args:
        image: float (height, width, 3) in [-1, 1], whose light and dark stay.
        content: float of the same shape, whose colours it gets.

    Returns:
        float32 (height, width, 3), clipped to [-1, 1].

    Raises:
        ValueError: if the shapes differ, or are those of no picture.
    """
    image, content = _picture(image), _picture(content)
    if image.shape != content.shape:
        raise ValueError(
            f"both pictures need the same shape, got {image.shape} and {content.shape}."
        )
    return np.clip(content - luminance(content) + luminance(image), -1, 1).astype("float32")


def matched(image, target):
    r"""Return a picture whose colours have the mean and covariance of another's.

    The map is $x \mapsto A(x - \mu_x) + \mu_t$ with $A = \Sigma_t^{1/2}\,\Sigma_x^{-1/2}$; the
    roots are the symmetric ones. Values beyond [-1, 1] are clipped, which changes both a little.

    Args:
        image: float (height, width, 3) in [-1, 1].
        target: float of any such shape.

    Returns:
        float32, the shape of image.

    Raises:
        ValueError: if a shape is that of no picture.
    """
    image, target = _picture(image), _picture(target)
    colours, wanted = image.reshape(-1, 3), target.reshape(-1, 3)
    matrix = _power(_covariance(wanted), 0.5) @ _power(_covariance(colours), -0.5)
    moved = (colours - colours.mean(0)) @ matrix.T + wanted.mean(0)
    return np.clip(moved, -1, 1).reshape(image.shape).astype("float32")


def _picture(image):
    image = np.asarray(image, np.float64)
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"expected a picture (height, width, 3), got the shape {image.shape}.")
    return image


def _covariance(colours):
    """Covariance (3, 3); a little is added, so that a picture of one colour has a root as well."""
    return np.cov(colours, rowvar=False, bias=True) + 1e-6 * np.eye(3)


def _power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T
