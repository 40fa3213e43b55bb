"""The objective of a recipe as equations: who minimises what."""

from __future__ import annotations

from genlab.recipe import ClassifierRecipe, GanRecipe, VaeRecipe
from genlab.recipe.gan import GanAugmentation
from genlab.recipe.objectives import LOSSES, PENALTIES


def classifier(recipe: ClassifierRecipe) -> list[str]:
    """The cross-entropy of the class."""
    smoothing = recipe.objective.label_smoothing
    target = f"  (targets {1 - smoothing:g} + {smoothing:g} / classes)" if smoothing else ""
    return [f"minimise  E[-log softmax(logits(x))[label]]{target}"]


def gan(recipe: GanRecipe) -> list[str]:
    """What D minimises and what G minimises."""
    objective, lines = recipe.objective, []
    record = LOSSES[objective.loss]
    loss = record.discriminator
    if objective.label_smoothing:
        rest, share = 1 - objective.label_smoothing, objective.label_smoothing
        assert record.smoothed, "the recipe's rules refuse it"
        real, smoothed = record.smoothed
        loss = loss.replace(real, smoothed.format(rest=f"{rest:g}", share=f"{share:g}"))
    if objective.discriminator_terms == "half-sum":
        loss = f"({loss}) / 2"
    if objective.penalty != "none":
        penalty = PENALTIES[objective.penalty].equation
        loss += f"  +  {objective.lambda_:g} * {penalty.format(s=f'{objective.sigma or 0:g}')}"
    named = f"  +  {objective.classification:g} * E[-log c({{}})[y]]" if objective.classification else ""
    if objective.players != "generator":
        lines.append(f"D minimises  {loss}{named.format('x')}")
    if objective.players != "discriminator":
        lines.append(f"G minimises  {record.generator}{named.format('G(z)')}")
    notes = ["p = s(D(x)), q = s(D(G(z)))"] if "log p" in loss else []
    if notes or "s(" in "".join(lines):
        notes.append("s is the logistic function")
    if recipe.discriminator_conditional:
        notes.append("D and G are told the class")
    elif recipe.conditional:
        notes.append("G is told the class, D is not")
    if named:
        notes.append("c are D's class probabilities, y is the class")
    if group := getattr(recipe.networks.discriminator, "minibatch_stddev", None):
        notes.append(f"D sees the spread within groups of {group} images")
    if objective.packing > 1:
        notes.append(f"D judges {objective.packing} images at once")
    if objective.clip:
        notes.append(f"D's weights are clipped to +-{objective.clip:g}")
    if objective.critic_steps > 1:
        notes.append(f"{objective.critic_steps} steps of D per step of G")
    if " e" in loss and objective.penalty != "none" and objective.sigma:
        notes.append("e is standard normal noise")
    lines += ["; ".join(notes)] if notes else []
    return lines + (_augmented(recipe.augmentation) if recipe.augmentation else [])


def _augmented(T: GanAugmentation) -> list[str]:
    """What D sees, and what T does."""
    parts = [
        f"a shift by up to {T.translation:g} of the side" if T.translation else "",
        f"a square of {T.cutout:g} of the side set to gray" if T.cutout else "",
        f"brightness +-{T.brightness:g}" if T.brightness else "",
        f"saturation 1 +-{T.saturation:g}" if T.saturation else "",
        f"contrast 1 +-{T.contrast:g}" if T.contrast else "",
    ]
    return [
        "x and G(z) above stand for T(x) and T(G(z)), which is what D sees; each image has its own T",
        f"T: {', '.join(filter(None, parts))}",
    ]


def vae(recipe: VaeRecipe) -> list[str]:
    """The negative evidence lower bound, as the recipe weights it."""
    objective = recipe.objective
    gaussian, whole = objective.likelihood == "gaussian", objective.reconstruction == "sum"
    error = "(x - dec(z))^2" if gaussian else "cross-entropy(x, s(dec(z)))"
    error = f"{objective.reconstruction} over pixels of {error}" + (" / 2" if gaussian and whole else "")
    kl = "KL(q(z|x) || N(0, I))" + (f" / {recipe.latent}" if objective.kl == "mean" else "")
    samples = objective.importance_samples
    lines = [
        f"minimise  E[{error}]  +  {objective.beta:g} * {kl}"
        if samples == 1
        else f"maximise  E[log mean of p(x|z) p(z) / q(z|x) over {samples} z];  log p(x|z) = -{error}",
        "z ~ q(z|x) = N(mean(x), variance(x))" + (", both networks told the class" if recipe.conditional else ""),
    ]
    if objective.binarise != "none":
        anew = "in each step" if objective.binarise == "dynamic" else "once"
        lines.append(f"each pixel of x is 1 with probability equal to its gray value, else 0: drawn {anew}")
    if objective.kl_warmup_steps:
        lines.append(f"the weight {objective.beta:g} is reached after {objective.kl_warmup_steps} steps")
    if objective.free_bits:
        lines.append(f"the KL of each unit counts as at least {objective.free_bits:g} nats")
    return lines
