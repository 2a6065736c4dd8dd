"""One update of a laboratory in ten small steps, each formula filled with the numbers of now.

The numbers of a step are worked out in NumPy from the logits, not taken from the library's losses.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from course_lib import losses


class SubStep(NamedTuple):
    """A heading, a formula in LaTeX (without dollars) and a sentence."""

    title: str
    formula: str
    words: str


def _softplus(x):
    return np.logaddexp(0, x)


X, Z = "D(x)", "D(G(z))"
# Family -> its terms, each (LaTeX of what is averaged, function of real and fake logits).
DISCRIMINATOR_TERMS = {
    "nonsaturating": (
        (rf"\mathrm{{softplus}}(-{X})", lambda real, fake: _softplus(-real)),
        (rf"\mathrm{{softplus}}({Z})", lambda real, fake: _softplus(fake)),
    ),
    "least_squares": (
        (rf"\tfrac12({X}-1)^2", lambda real, fake: (real - 1) ** 2 / 2),
        (rf"\tfrac12{Z}^2", lambda real, fake: fake**2 / 2),
    ),
    "wasserstein": (
        (rf"(-{X})", lambda real, fake: -real),
        (Z, lambda real, fake: fake),
    ),
    "hinge": (
        (rf"\max(0,1-{X})", lambda real, fake: np.maximum(0, 1 - real)),
        (rf"\max(0,1+{Z})", lambda real, fake: np.maximum(0, 1 + fake)),
    ),
    "relativistic": (
        (rf"\mathrm{{softplus}}({Z}-{X})", lambda real, fake: _softplus(fake - real)),
    ),
}
DISCRIMINATOR_TERMS["minimax"] = DISCRIMINATOR_TERMS["nonsaturating"]
GENERATOR_TERMS = {
    "minimax": (rf"(-\mathrm{{softplus}}({Z}))", lambda real, fake: -_softplus(fake)),
    "nonsaturating": (rf"\mathrm{{softplus}}(-{Z})", lambda real, fake: _softplus(-fake)),
    "least_squares": (rf"\tfrac12({Z}-1)^2", lambda real, fake: (fake - 1) ** 2 / 2),
    "wasserstein": (rf"(-{Z})", lambda real, fake: -fake),
    "hinge": (rf"(-{Z})", lambda real, fake: -fake),
    "relativistic": (
        rf"\mathrm{{softplus}}({X}-{Z})",
        lambda real, fake: _softplus(real - fake),
    ),
}


def slow_motion(lab):
    """Take one step of the discriminator and one of the generator, in ten sub-steps.

    Args:
        lab: a `Laboratory`. Its networks change at the fifth and at the tenth sub-step, exactly as
            by `discriminator_step` and `generator_step`.

    Yields:
        `SubStep`.
    """
    yield from _half(lab, "discriminator_step")
    yield from _half(lab, "generator_step")


def _half(lab, name):
    gan = lab.gan
    judge = name == "discriminator_step"
    network, who = (gan.discriminator, "D") if judge else (gan.generator, "G")
    latents, fake, real, loss, gradients = _look_ahead(lab, name)
    real_logits, fake_logits = (lab.logits(points) for points in (real, fake))
    yield SubStep(
        f"{who} 1. Draw latents, and points from them",
        rf"z_1={_vector(latents[0])}\;\mapsto\; G(z_1)={_vector(fake[0])}",
        f"{len(latents)} latents of N(0, 1)" + (f" and {len(real)} real points." if judge else "."),
    )
    yield SubStep(
        f"{who} 2. D judges them",
        rf"\overline{{{X}}}={real_logits.mean():.3f}\qquad\overline{{{Z}}}={fake_logits.mean():.3f}",
        f"D(G(z)) for the first three: {', '.join(f'{v:.3f}' for v in fake_logits[:3])}.",
    )
    yield SubStep(
        f"{who} 3. The loss ({lab.settings.loss})",
        loss_formula(lab.settings.loss, who, real_logits, fake_logits),
        f"With the {lab.settings.penalty} penalty: {loss:.4f}."
        if judge and lab.settings.penalty != "none"
        else f"The library's value: {loss:.4f}.",
    )
    norm = float(tf.linalg.global_norm(gradients))
    yield SubStep(
        f"{who} 4. Its gradient by every weight of {who}",
        rf"\lVert\nabla_{{{who}}} L_{who}\rVert={norm:.4f}",
        f"{network.count_params():,} numbers; the other network stands still.",
    )
    before = [np.array(weight) for weight in network.get_weights()]
    getattr(lab, name)()
    now = [np.array(weight) for weight in network.get_weights()]
    moved = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(now, before, strict=True)))
    after_real, after_fake = lab.logits(real), lab.logits(gan.generator(latents))
    yield SubStep(
        f"{who} 5. The optimizer moves the weights of {who}",
        rf"\lVert\Delta w\rVert={moved:.4f}",
        "On the same points the loss is now "
        f"{loss_value(lab.settings.loss, who, after_real, after_fake):.4f} "
        f"(was {loss_value(lab.settings.loss, who, real_logits, fake_logits):.4f}).",
    )


def _look_ahead(lab, name):
    """What the next half step will draw and find: latents, points, loss and gradients."""
    gan, config = lab.gan, lab.step_config
    real = lab.next_batch(name)
    state = gan.seed.state.numpy()
    latents = keras.random.normal((len(real), config.latent_dim), seed=gan.seed)
    network = gan.discriminator if name == "discriminator_step" else gan.generator
    with tf.GradientTape() as tape:
        fake = gan.generator(latents)
        loss = _library_loss(lab, name, real, fake)
    gan.seed.state.assign(state)  # the step itself will draw the same
    gradients = tape.gradient(loss, network.trainable_variables)
    return latents.numpy(), fake.numpy(), real.numpy(), float(loss), gradients


def _library_loss(lab, name, real, fake):
    discriminator_loss, generator_loss = losses.FAMILIES[lab.settings.loss]
    real_logits, fake_logits = lab.gan.discriminator(real), lab.gan.discriminator(fake)
    if name == "discriminator_step":
        loss = discriminator_loss(real_logits, fake_logits)
        if lab.settings.penalty.startswith("R1"):
            loss += lab.penalty_weight / 2 * losses.r1_penalty(lab.gan.discriminator, real)
        if lab.settings.penalty == "R1+R2":
            loss += lab.penalty_weight / 2 * losses.r2_penalty(lab.gan.discriminator, fake)
        if lab.settings.penalty == "WGAN-GP":
            critic, seed = lab.gan.discriminator, lab.gan.seed
            loss += lab.penalty_weight * losses.gradient_penalty(critic, real, fake, seed)
        return loss
    if lab.settings.loss == "relativistic":
        return generator_loss(real_logits, fake_logits)
    return generator_loss(fake_logits)


def loss_value(family, who, real_logits, fake_logits):
    """Return the adversarial loss of "D" or "G" in NumPy, from logits (batch,)."""
    return sum(_means(family, who, real_logits, fake_logits))


def loss_formula(family, who, real_logits, fake_logits):
    """Return LaTeX of the loss, then of the means of its terms, then of its value."""
    terms = DISCRIMINATOR_TERMS[family] if who == "D" else (GENERATOR_TERMS[family],)
    means = _means(family, who, real_logits, fake_logits)
    symbols = "+".join(rf"\overline{{{symbol}}}" for symbol, _ in terms)
    numbers = "".join(f"{mean:+.4f}" for mean in means).removeprefix("+")
    total = f"={sum(means):.4f}" if len(means) > 1 else ""
    return rf"L_{who}={symbols}={numbers}{total}"


def _means(family, who, real_logits, fake_logits):
    terms = DISCRIMINATOR_TERMS[family] if who == "D" else (GENERATOR_TERMS[family],)
    real, fake = np.asarray(real_logits, "float64"), np.asarray(fake_logits, "float64")
    return [float(np.mean(term(real, fake))) for _, term in terms]


def _vector(values, most=3):
    shown = ",\\,".join(f"{value:.2f}" for value in values[:most])
    return rf"({shown}{',…' if len(values) > most else ''})"


__all__ = ["SubStep", "loss_formula", "loss_value", "slow_motion"]
