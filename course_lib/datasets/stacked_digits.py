"""Three digits in one picture: a thousand known modes, so that what a generator forgets is counted.

A grey digit for each of the channels red, green and blue; the picture's mode is the number that the
three make, 100 a + 10 b + c. Published results use MNIST digits ("Stacked MNIST", Metz et al. 2017,
section 3.3.1, https://arxiv.org/abs/1611.02163); the 8 x 8 digits of scikit-learn train in minutes.
"""

import numpy as np

MODES = 1000


def stack(digits, codes, count, *, seed=0):
    """Return (pixels, modes): random triples of the given digits, drawn with replacement.

    Args:
        digits: uint8 (n, size, size, 1), grey pictures of single digits.
        codes: integers (n,), which digit each of them shows, 0 to 9.
        count: number of pictures, at least 0.
        seed: integer in [0, 2^63). Picture i depends on seed and i only.

    Returns:
        uint8 (count, size, size, 3) and int64 (count,), 0 to 999.

    Raises:
        ValueError: if the digits or their codes are not as described, or there are none.
    """
    digits, codes = np.asarray(digits), np.asarray(codes)
    if digits.ndim != 4 or digits.shape[-1] != 1 or digits.dtype != np.uint8 or not len(digits):
        raise ValueError(
            "stack needs grey digits, uint8 (n, size, size, 1). "
            f"Received: {digits.dtype} of shape {digits.shape}."
        )
    if codes.shape != digits.shape[:1] or codes.dtype.kind not in "iu":
        raise ValueError(
            f"stack needs one whole number for each of the {len(digits)} digits. "
            f"Received: {codes.dtype} of shape {codes.shape}."
        )
    if codes.min() < 0 or codes.max() > 9:
        raise ValueError(f"codes must be 0 to 9. Received: {codes.min()} to {codes.max()}.")
    if count < 0:
        raise ValueError(f"count must be at least 0. Received: count={count}.")
    # Raw bits of a counter-based generator: the same triples under every NumPy version.
    bits = np.random.Philox(key=seed).random_raw(3 * count).reshape(count, 3)
    rows = (bits % np.uint64(len(digits))).astype(np.int64)
    pixels = np.moveaxis(digits[rows, ..., 0], 1, -1)
    return np.ascontiguousarray(pixels), codes[rows] @ np.array([100, 10, 1])


class Judge:
    """Reads the modes of generated pictures, one channel at a time: a support-vector classifier.

    Attributes:
        accuracy: share of held-out single digits that it reads rightly. A mode has three digits,
            so that it is right about accuracy^3 of the time.
    """

    def __init__(self, train, test):
        """Fit on `train` and measure on `test`: two image sets with the labels "digit"."""
        from sklearn.svm import SVC

        # The digits of scikit-learn, 64 levels of ink each, in [0, 1]; "scale" is 1 / (64 var).
        self._classifier = SVC(C=10.0, gamma="scale")
        self._classifier.fit(_rows(train.images), train.labels["digit"])
        read = self._classifier.predict(_rows(test.images))
        self.accuracy = float(np.mean(read == test.labels["digit"]))

    def modes(self, images):
        """Return the mode of each picture: float (count, size, size, 3) -> int64 (count,).

        Raises:
            ValueError: if the pictures have another shape than the digits that it was fitted on.
        """
        images = np.asarray(images)
        pixels = self._classifier.n_features_in_
        if images.ndim != 4 or images.shape[-1] != 3 or images[0, ..., 0].size != pixels:
            raise ValueError(
                f"The judge reads three channels of {pixels} pixels each. "
                f"Received: shape {images.shape}."
            )
        channels = np.moveaxis(images, -1, 1).reshape(-1, pixels)
        return self._classifier.predict(channels).reshape(-1, 3) @ np.array([100, 10, 1])


def _rows(images):
    return images.reshape(len(images), -1)
