"""The Inception network of the original FID: fetched on request, then read and run from the cache.

It is the frozen graph `inception-2015-12-05` that Heusel et al. 2017 used
(https://arxiv.org/abs/1706.08500, https://github.com/bioinf-jku/TTUR). Only a Fréchet distance on
its features is an FID: Inception networks of other libraries have other weights and other
resizing, and give other numbers.
"""

import functools
import hashlib
import os
import tarfile
import tempfile
import urllib.request
from pathlib import Path

import numpy as np
import tensorflow as tf

from course_lib import metrics, runtime
from course_lib.datasets import downloads, images

URL = (
    "https://storage.googleapis.com/download.tensorflow.org/models/image/imagenet/"
    "inception-2015-12-05.tgz"
)
MEMBER = "classify_image_graph_def.pb"  # of the archive
# Tensors of the graph: pixels from 0 to 255 go in before its own resizing, features come out.
INPUT, OUTPUT = "ExpandDims:0", "pool_3:0"
WIDTH = 2048  # of its features
MEGABYTES = 89


def fetch(*, url=URL):
    """Download the network (about 89 MB) into the cache; returns its path. Once is enough.

    No checksum of the file has been published, so the first download is trusted because of
    https alone. Its own sha256 becomes a part of its name, and is checked at every load.

    Raises:
        DataUnavailableError: if there is no network, or the archive is not the expected one.
    """
    if found := _stored():
        return found[0]
    folder = runtime.cache_dir()
    try:
        with tempfile.TemporaryFile() as archive:
            with urllib.request.urlopen(url, timeout=60) as stream:
                while block := stream.read(2**20):
                    archive.write(block)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as packed:
                graph = packed.extractfile(MEMBER).read()  # this file alone, wherever it would go
    except (OSError, tarfile.TarError, KeyError) as error:
        raise downloads.DataUnavailableError(
            f"The Inception network of the FID couldn't be downloaded from {url} "
            f"({type(error).__name__}: {error}). With a network, try again; without one, use "
            "`features.extract`, and call the distance by the name of that extractor."
        ) from error
    path = folder / f"inception-2015-12-05.{hashlib.sha256(graph).hexdigest()[:16]}.pb"
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(graph)
    os.replace(temporary, path)
    return path


def extract(pictures, *, batch_size=50):
    """Return the 2048 Inception features of images, as the original FID takes them.

    The images are rounded to pixels from 0 to 255, as in a file; the graph itself resizes them to
    299 x 299 (bilinear, not antialiased). About 6 GFLOP per image: seconds for 10 on a CPU.

    Args:
        pictures: float array (count, height, width, 1 or 3) in [-1, 1]; grey is repeated.
        batch_size: images per pass.

    Returns:
        float32 array (count, 2048).

    Raises:
        DataUnavailableError: if the network has not been fetched, or its file is damaged.
        ValueError: on another shape or range.
    """
    run = _network()
    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or pictures.shape[-1] not in (1, 3) or len(pictures) == 0:
        raise ValueError(
            f"expected images of shape (count, height, width, 1 or 3), got {pictures.shape}."
        )
    pixels = np.broadcast_to(images.to_uint8(pictures), (*pictures.shape[:3], 3))
    batches = [pixels[start : start + batch_size] for start in range(0, len(pixels), batch_size)]
    return np.concatenate([run(tf.cast(batch, tf.float32)).numpy() for batch in batches])


def fid(real_images, fake_images):
    """Return the FID of two sets of images: the Fréchet distance of their Inception features.

    Published values are for 10,000 to 50,000 images of each; fewer give larger ones, and numbers
    are only comparable at equal counts.

    Args and errors as in `extract`; at least 2 images each.
    """
    return metrics.frechet_distance(extract(real_images), extract(fake_images))


def _stored():
    return sorted(runtime.cache_dir().glob("inception-2015-12-05.*.pb"))


def _network():
    """The stored network; what is missing or damaged says how to get it."""
    if not (found := _stored()):
        raise downloads.DataUnavailableError(
            "The Inception network of the original FID isn't in the cache. With a network, get it "
            f"once with `inception.fetch()` (about {MEGABYTES} MB). Without one, use "
            "`features.extract`, and call the distance by the name of that extractor, not FID."
        )
    return _load(found[0])


@functools.cache
def _load(path: Path):
    """Returns images (batch, height, width, 3) from 0 to 255 -> features (batch, 2048)."""
    if downloads.sha256(path)[:16] != path.name.split(".")[-2]:
        raise downloads.DataUnavailableError(
            f"{runtime.display_path(path)} is damaged: its sha256 is not the one in its name. "
            "Delete it, and get it again with `inception.fetch()`."
        )
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def run(pixels):
        (pooled,) = tf.graph_util.import_graph_def(
            graph, input_map={INPUT: pixels}, return_elements=[OUTPUT], name=""
        )
        return tf.reshape(pooled, [-1, WIDTH])

    return run
