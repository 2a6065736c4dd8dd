"""Notebook 04's plain classifier with batch normalisation: 28x28 grey images in batches of 128."""

from course_lib.networks import classifiers
from tests.benchmarks.rows.classifier import row


def prepare(worker):
    title = "notebook 04's plain classifier, 28x28x1, batch 128"
    return row(worker, title, classifiers.plain, (28, 28, 1), 128)
