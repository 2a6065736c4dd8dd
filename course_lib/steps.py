"""One compiled GAN update: discriminator, then generator, then the moving average."""

import dataclasses
import math
import numbers

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from course_lib import diffaugment, losses, replicas


@dataclasses.dataclass(frozen=True)
class GanStepConfig:
    """Numbers that define one update; a checkpoint stores them with the weights.

    Attributes:
        latent_dim: length of a latent vector, drawn from N(0, 1).
        loss: family of adversarial loss, a key of `losses.FAMILIES`.
        r1_gamma: adds r1_gamma / 2 times `losses.r1_penalty` (images in [-1, 1]); 0 is off.
        r2_gamma: the same with `losses.r2_penalty`.
        gradient_penalty_weight: adds this times `losses.gradient_penalty`; 10 in WGAN-GP.
        penalty_share: the penalties are computed on the first ceil(share * batch) images
            of a batch, which is shuffled: an unbiased and cheaper estimate of the same
            expectation, with no jump every k-th step as in lazy regularisation.
        ema_decay: per step; the average's half-life is ln 0.5 / ln ema_decay steps. 0
            copies the generator.
        discriminator_updates: n updates of D per update of G. A step then takes n * B
            images, B for each update of D.
        reuse_fakes: whether G's update goes back through the images that D has just been updated
            with, as in PyTorch's DCGAN example, instead of drawing new ones: one pass of the
            generator less, at the price of judging G by images that D has seen.
        augmentations: names from `diffaugment.AUGMENTATIONS`, applied in this order to all
            images before D sees them: real and generated ones, in D's update and in G's, each
            time drawn anew. Penalties and metrics are those at the images that D sees.

    Raises:
        ValueError: on a value outside its range, naming it.
    """

    latent_dim: int = 128
    loss: str = "nonsaturating"
    r1_gamma: float = 0.0
    r2_gamma: float = 0.0
    gradient_penalty_weight: float = 0.0
    penalty_share: float = 1.0
    ema_decay: float = 0.999
    discriminator_updates: int = 1
    reuse_fakes: bool = False
    augmentations: tuple[str, ...] = ()

    def __post_init__(self):
        if self.loss not in losses.FAMILIES:
            raise ValueError(
                f"loss must be one of {', '.join(losses.FAMILIES)}; got {self.loss!r}."
            )
        for name in ("latent_dim", "discriminator_updates"):
            value = getattr(self, name)
            whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if not whole or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
        for name in ("r1_gamma", "r2_gamma", "gradient_penalty_weight"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and at least 0 (0 is off), got {value!r}.")
        if not 0 < self.penalty_share <= 1:
            raise ValueError(f"penalty_share must be in (0, 1], got {self.penalty_share!r}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be in [0, 1), got {self.ema_decay!r}.")
        diffaugment.check_names(self.augmentations)

    @property
    def has_penalty(self):
        """Whether any penalty has a weight other than 0."""
        return bool(self.r1_gamma or self.r2_gamma or self.gradient_penalty_weight)


@dataclasses.dataclass(frozen=True)
class Gan:
    """Everything one GAN update changes; build it with `Gan.create`.

    Attributes:
        generator: Keras model, latents (batch, latent_dim) -> images in [-1, 1].
        discriminator: Keras model, images -> logits (batch, 1).
        ema_generator: moving average of the generator; never trained, used for samples.
        generator_optimizer, discriminator_optimizer: built Keras optimizers.
        seed: `keras.random.SeedGenerator` of latents, interpolations and augmentations; its
            `state` belongs in a checkpoint.
    """

    generator: keras.Model
    discriminator: keras.Model
    ema_generator: keras.Model
    generator_optimizer: keras.optimizers.Optimizer
    discriminator_optimizer: keras.optimizers.Optimizer
    seed: keras.random.SeedGenerator

    @classmethod
    def create(
        cls, generator, discriminator, *, generator_optimizer, discriminator_optimizer, seed
    ):
        """Return a Gan with a cloned moving average and both optimizers built.

        Args:
            generator, discriminator: built functional or Sequential Keras models.
            generator_optimizer, discriminator_optimizer: two fresh Keras optimizers. For
                mixed_float16 wrap each in a `keras.optimizers.LossScaleOptimizer`.
            seed: int, for the latents.

        Raises:
            ValueError: if the discriminator cannot read the generator's images, or an
                optimizer is used twice.
        """
        made, read = generator.output_shape, discriminator.input_shape
        if not tf.TensorShape(made).is_compatible_with(read):
            raise ValueError(
                f"The generator makes images of shape {made} but the discriminator reads {read}: "
                "build both for the same image size."
            )
        _check_optimizers(generator_optimizer, discriminator_optimizer)
        ema_generator = keras.models.clone_model(generator)
        ema_generator.set_weights(generator.get_weights())
        # Slots are created here: a compiled function may not create variables later.
        generator_optimizer.build(generator.trainable_variables)
        discriminator_optimizer.build(discriminator.trainable_variables)
        return cls(
            generator,
            discriminator,
            ema_generator,
            generator_optimizer,
            discriminator_optimizer,
            keras.random.SeedGenerator(seed),
        )

    def objects(self):
        """Return the dict of name -> object whose state a checkpoint must hold."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def _check_optimizers(generator_optimizer, discriminator_optimizer):
    if generator_optimizer is discriminator_optimizer:
        raise ValueError(
            f"generator_optimizer and discriminator_optimizer are the same "
            f"{type(generator_optimizer).__name__} object; its moments belong to one network: "
            "create one optimizer for each."
        )
    for optimizer in (generator_optimizer, discriminator_optimizer):
        if optimizer.built:
            raise ValueError(
                f"The {type(optimizer).__name__} named {optimizer.name!r} already belongs to "
                "other weights: create a fresh optimizer."
            )


def make_gan_step(gan, config, *, penalty_schedule=None):
    """Return the compiled update: real_images -> dict of float32 scalar metrics.

    The update is alternating: discriminator (on generated images drawn outside its tape),
    then generator (against the updated discriminator), then moving average. Trainable
    weights are averaged; everything else of the generator (batch-norm statistics, seed
    states) is copied. The step changes the objects in `gan`, nothing else.

    Args:
        gan: a `Gan`.
        config: a `GanStepConfig`.
        penalty_schedule: callable, number of D's updates so far (int tensor) -> scalar that
            multiplies the weight of every penalty, such as a Keras learning-rate schedule;
            None is 1.

    Returns:
        `tf.function`. It takes real_images, float32 in [-1, 1], of shape (batch, height,
        width, channels) or whatever the discriminator reads, with a fixed batch size (each
        new size compiles again). Metrics, before any weighting and, with several
        discriminator updates, of the last one: d_loss and g_loss (adversarial part),
        real_logit and fake_logit (means of D), and r1, r2, gradient_penalty where they are
        on. Made under a strategy's scope, it is for `train.fit(strategy=...)`, and
        does with the whole batch what one replica would (see `replicas`).

    Raises:
        ValueError: if the generator reads latents of another length than
            `config.latent_dim`, or a penalty is on and the discriminator contains batch
            normalisation or bilinear resizing, or, with several replicas, a network has layers
            that would not compute the same (`replicas.require_equal_layers`). From the step: if
            the images have the wrong dtype or shape, or their number does not divide by
            `config.discriminator_updates`.
    """
    _check_gan_fits_config(gan, config)

    def step(real_images):
        _check_real_images(gan, config, real_images)
        for chunk in tf.split(real_images, config.discriminator_updates):
            with tf.GradientTape() as tape:  # of the generator: it ends before D's update
                fake_images = _draw_fake_images(gan, config, chunk.shape[0])
            metrics = _update_discriminator(gan, config, chunk, fake_images, penalty_schedule)
        drawn = (tape, fake_images) if config.reuse_fakes else None
        metrics |= _update_generator(gan, config, chunk, drawn)
        update_average(gan, config)
        return metrics

    return tf.function(step, autograph=False)  # no Python branch depends on a tensor


def make_half_steps(gan, config, *, penalty_schedule=None):
    """Return the two halves of the update alone, each compiled, to be called one at a time.

    Args and errors as in `make_gan_step`; `config.discriminator_updates` and `reuse_fakes` do not
    count.

    Returns:
        (discriminator_step, generator_step): `tf.function`s, real_images -> dict of metrics.
        The first changes the discriminator, its optimizer and the seed, nothing else. The
        second changes the generator, its optimizer, its average and the seed; it looks at
        the real images only under the relativistic loss.
    """
    _check_gan_fits_config(gan, config)
    one_update = dataclasses.replace(config, discriminator_updates=1)

    def discriminator_step(real_images):
        _check_real_images(gan, one_update, real_images)
        fake_images = _draw_fake_images(gan, config, real_images.shape[0])
        return _update_discriminator(gan, config, real_images, fake_images, penalty_schedule)

    def generator_step(real_images):
        _check_real_images(gan, one_update, real_images)
        metrics = _update_generator(gan, config, real_images)
        update_average(gan, config)
        return metrics

    return tuple(
        tf.function(half, autograph=False) for half in (discriminator_step, generator_step)
    )


def repeat(step, draw_images):
    """Return a compiled loop: count -> metrics of the last of `count` steps, all in one call.

    Calling a small network's step costs as much as a part of the step itself; the loop saves that
    and gives the same bits (1.2 to 1.4 times as fast on points in the plane, see
    tests/benchmarks/rows/points_gan.py). It stops early where a metric is no longer
    finite.

    Args:
        step: `tf.function` of `make_gan_step`.
        draw_images: function () -> real images, traced into the loop; it must follow from
            variables (such as an optimizer's `iterations`), or every batch is the same.

    Returns:
        `tf.function`, whole-number tensor of at least 1 -> (steps done, dict of metrics).
    """
    images = tf.function(draw_images, autograph=False)
    images_spec = images.get_concrete_function().structured_outputs
    compiled = step.get_concrete_function(tf.TensorSpec(images_spec.shape, images_spec.dtype))

    def loop(count):
        def unfinished(done, metrics):
            finite = tf.reduce_all([tf.math.is_finite(value) for value in metrics.values()])
            return (done < count) & finite

        def advance(done, _):
            return done + 1, compiled(images())

        nothing = {name: tf.zeros(()) for name in compiled.structured_outputs}
        return tf.while_loop(unfinished, advance, (tf.zeros((), tf.int32), nothing))

    return tf.function(loop, autograph=False, input_signature=[tf.TensorSpec((), tf.int32)])


def _check_gan_fits_config(gan, config):
    latent_shape = tuple(gan.generator.input_shape)[1:]
    if latent_shape != (config.latent_dim,):
        raise ValueError(
            f"The generator reads latents of shape {latent_shape}, but latent_dim is "
            f"{config.latent_dim}: make the two agree."
        )
    for model in (gan.generator, gan.discriminator):
        replicas.require_equal_layers(model)
    if not config.has_penalty:
        return
    for layer in gan.discriminator._flatten_layers():  # Keras has no public walk
        if isinstance(layer, keras.layers.BatchNormalization):
            raise ValueError(
                f"The discriminator contains the batch normalisation layer {layer.name!r}. It "
                "mixes the images of a batch, so a gradient penalty per image has no meaning: "
                "use LayerNormalization or none, or set the penalties to 0."
            )
        if getattr(layer, "interpolation", None) == "bilinear":
            raise ValueError(
                f"The discriminator contains the bilinear layer {layer.name!r}. TensorFlow has "
                "no second derivative of it and would train on a part of the penalty without "
                "a word: use average pooling or strided convolutions, or set the penalties to 0."
            )


def _check_real_images(gan, config, real_images):
    if real_images.dtype != tf.float32:
        raise ValueError(
            f"real_images must be float32 in [-1, 1], got {real_images.dtype.name}; "
            "convert pixels with course_lib.datasets.images.to_float."
        )
    read = tf.TensorShape(gan.discriminator.input_shape)
    if real_images.shape[0] is None or not real_images.shape.is_compatible_with(read):
        raise ValueError(
            f"real_images has shape {tuple(real_images.shape)}, but the discriminator reads "
            f"{tuple(read)}, in batches of a fixed size."
        )
    if real_images.shape[0] % config.discriminator_updates:
        raise ValueError(
            f"A batch of {real_images.shape[0]} images does not divide into "
            f"discriminator_updates={config.discriminator_updates} equal parts."
        )


def _draw_fake_images(gan, config, count):
    latents = replicas.normal((count, config.latent_dim), seed=gan.seed)
    return ops.cast(gan.generator(latents, training=True), "float32")


def _penalties(gan, config, real_images, fake_images):
    """Return name -> (weight, value) of the penalties whose weight is not 0."""
    count = _penalised(config, real_images.shape[0])
    real_images, fake_images = real_images[:count], fake_images[:count]
    critic, penalties = gan.discriminator, {}
    if config.r1_gamma:
        penalties["r1"] = (config.r1_gamma / 2, losses.r1_penalty(critic, real_images))
    if config.r2_gamma:
        penalties["r2"] = (config.r2_gamma / 2, losses.r2_penalty(critic, fake_images))
    if config.gradient_penalty_weight:
        penalties["gradient_penalty"] = (
            config.gradient_penalty_weight,
            losses.gradient_penalty(critic, real_images, fake_images, gan.seed),
        )
    return penalties


def _penalised(config, count):
    """Return how many of a replica's images the penalties are taken on."""
    replica_count = replicas.count()
    # The small constant undoes rounding: 0.07 * 100 is a little more than 7.
    total = math.ceil(config.penalty_share * count * replica_count - 1e-9)
    if total % replica_count:
        raise ValueError(
            f"penalty_share={config.penalty_share} takes {total} of {count * replica_count} images,"
            f" which do not divide among {replica_count} replicas: choose a share that does."
        )
    return total // replica_count


def _update_discriminator(gan, config, real_images, fake_images, penalty_schedule=None):
    discriminator_loss, _ = losses.FAMILIES[config.loss]
    real_images, fake_images = (
        diffaugment.apply(config.augmentations, images, gan.seed)
        for images in (real_images, fake_images)
    )
    with tf.GradientTape() as tape:
        real_logits = ops.cast(gan.discriminator(real_images, training=True), "float32")
        fake_logits = ops.cast(gan.discriminator(fake_images, training=True), "float32")
        adversarial = discriminator_loss(real_logits, fake_logits)
        penalties = _penalties(gan, config, real_images, fake_images)
        penalty = sum(weight * value for weight, value in penalties.values())
        if penalty_schedule is not None:
            penalty *= ops.cast(penalty_schedule(gan.discriminator_optimizer.iterations), "float32")
        loss = adversarial + penalty
        loss = scale(gan.discriminator_optimizer, loss)
    descend(tape, loss, gan.discriminator, gan.discriminator_optimizer)
    return {
        "d_loss": adversarial,
        "real_logit": ops.mean(real_logits),
        "fake_logit": ops.mean(fake_logits),
    } | {name: value for name, (_, value) in penalties.items()}


def _update_generator(gan, config, real_images, drawn=None):
    """Update G on images of its own, or on those drawn under a tape that is now recorded on."""
    _, generator_loss = losses.FAMILIES[config.loss]
    tape, fake_images = drawn or (tf.GradientTape(), None)
    with tape:
        if fake_images is None:
            fake_images = _draw_fake_images(gan, config, real_images.shape[0])
        fake_images = diffaugment.apply(config.augmentations, fake_images, gan.seed)
        fake_logits = gan.discriminator(fake_images, training=True)
        if config.loss == "relativistic":
            real_images = diffaugment.apply(config.augmentations, real_images, gan.seed)
            real_logits = gan.discriminator(real_images, training=True)
            adversarial = generator_loss(real_logits, fake_logits)
        else:
            adversarial = generator_loss(fake_logits)
        loss = scale(gan.generator_optimizer, adversarial)
    descend(tape, loss, gan.generator, gan.generator_optimizer)
    return {"g_loss": adversarial}


def scale(optimizer, loss):
    """Return the loss to differentiate: per replica, and scaled for float16."""
    # Keras optimizers sum gradients over replicas; the mean is wanted.
    return optimizer.scale_loss(loss / replicas.count())


def descend(tape, loss, model, optimizer):
    """Update the model's weights along the gradient of a loss that the tape has recorded."""
    weights = model.trainable_variables
    gradients = tape.gradient(loss, weights)
    if replicas.count() > 1 and isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        gradients = replicas.share_overflow(gradients)
    # A penalty reads biases for the signs of its masks alone: its gradient to them is 0. TensorFlow
    # folds that 0 into a constant, and with it loses the order of reading and updating; one process
    # in ten then computed R1 with biases that were one step too new.
    with tf.control_dependencies([loss]):
        optimizer.apply(gradients, weights)


def update_average(gan, config):
    """Move the averaged generator's trainable weights by a share of 1 - `config.ema_decay`.

    All else (batch-norm statistics, seed states) is copied from the generator.
    """
    pairs = zip(gan.ema_generator.variables, gan.generator.variables, strict=True)
    for average, value in pairs:
        if value.trainable:
            average.assign(value + config.ema_decay * (average - value))
        else:
            average.assign(value)


def sample(generator, count, *, latent_dim, seed, batch_size=64):
    """Return generated images, the same ones for the same weights and seed.

    Args:
        generator: Keras model, latents (batch, latent_dim) -> images.
        count: number of images, at least 1.
        latent_dim: length of a latent vector, drawn from N(0, 1).
        seed: int. The latents depend on it and `count` only, not on `batch_size`.
        batch_size: images per pass; every pass has this size, so that the generator is
            compiled once.

    Returns:
        float32 array of shape (count, height, width, channels), in inference mode.

    Raises:
        ValueError: if count or batch_size is below 1.
    """
    if count < 1 or batch_size < 1:
        raise ValueError(f"count and batch_size must be at least 1, got {count} and {batch_size}.")
    latents = ops.convert_to_numpy(keras.random.normal((count, latent_dim), seed=seed))
    padded = np.pad(latents, ((0, -count % batch_size), (0, 0)))
    images = generator.predict(padded, batch_size=batch_size, verbose=0)
    return images[:count].astype("float32")


__all__ = [
    "Gan",
    "GanStepConfig",
    "descend",
    "make_gan_step",
    "make_half_steps",
    "repeat",
    "sample",
    "scale",
]
