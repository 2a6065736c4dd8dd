"""The rows: a module each, whose `prepare(worker)` returns a `protocol.Row`.

`worker(script, given)` starts a PyTorch worker, or returns None where PyTorch is missing.
"""

ROWS = {
    "points_gan": "two-dimensional GAN",
    "points_gan_large": "two-dimensional GAN, relativistic with R1 and R2",
    "dcgan28": "DCGAN of TensorFlow's tutorial",
    "dcgan64": "DCGAN of PyTorch's example",
    "residual_gan": "our residual GAN",
    "classifier": "the article's classifier",
    "plain_classifier": "notebook 04's plain classifier",
    "style_optimisation": "style by optimisation",
    "style_network": "a network of one style",
    "frechet": "Fréchet distance",
    "avatars": "avatars",
}
