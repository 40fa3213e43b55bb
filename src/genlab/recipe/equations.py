"""The objective of a recipe as equations: who minimises what."""

from __future__ import annotations

from genlab.recipe import ClassifierRecipe, GanRecipe, Recipe, VaeRecipe

SUM = "E[-log s(D(x))] + E[-log(1 - s(D(G(z))))]"


DISCRIMINATOR = {
    "non-saturating": SUM,
    "saturating": SUM,
    "bce-on-probabilities": "E[-max(log p, -100)] + E[-max(log(1 - q), -100)]",
    "least-squares": "E[(D(x) - 1)^2] / 2 + E[D(G(z))^2] / 2",
    "wasserstein": "E[D(G(z))] - E[D(x)]",
    "hinge": "E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]",
    "relativistic": "E[-log s(D(x) - D(G(z)))]",
}


GENERATOR = {
    "non-saturating": "E[-log s(D(G(z)))]",
    "saturating": "E[log(1 - s(D(G(z))))]",
    "bce-on-probabilities": "E[-max(log q, -100)]",
    "least-squares": "E[(D(G(z)) - 1)^2] / 2",
    "wasserstein": "-E[D(G(z))]",
    "hinge": "-E[D(G(z))]",
    "relativistic": "E[-log s(D(G(z)) - D(x))]",
}


ENTROPY = ("-log s(D(x))", "-{rest} log s(D(x)) - {share} log(1 - s(D(x)))")


SMOOTHED = {
    "non-saturating": ENTROPY,
    "saturating": ENTROPY,
    "bce-on-probabilities": ("-max(log p, -100)", "-{rest} max(log p, -100) - {share} max(log(1 - p), -100)"),
}
"""The term of the real images without label smoothing and with it."""


PENALTY = {
    "r1": "E|grad D(x)|^2 / 2",
    "r2": "E|grad D(G(z))|^2 / 2",
    "r1-r2": "(E|grad D(x)|^2 + E|grad D(G(z))|^2) / 2",
    "r1-finite-difference": "E[(D(x) - D(x + {s} e))^2] / (2 {s}^2)",
    "r2-finite-difference": "E[(D(u) - D(u + {s} e))^2] / (2 {s}^2),  u = G(z)",
    "r1-r2-finite-difference": "sum over u = x, G(z) of E[(D(u) - D(u + {s} e))^2] / (2 {s}^2)",
    "gradient-penalty": "E[(|grad D(u)| - 1)^2],  u = a x + (1 - a) G(z), a uniform",
    "gradient-penalty-one-sided": "E[max(0, |grad D(u)| - 1)^2],  u = a x + (1 - a) G(z), a uniform",
    "dragan": "E[(|grad D(u)| - 1)^2],  u = x + {s} e",
}


def equations(recipe: Recipe) -> list[str]:
    """The objective as lines of text: who minimises what."""
    if isinstance(recipe, GanRecipe):
        return _gan_equations(recipe)
    if isinstance(recipe, VaeRecipe):
        return _vae_equations(recipe)
    assert isinstance(recipe, ClassifierRecipe)
    smoothing = recipe.objective.label_smoothing
    target = f"  (targets {1 - smoothing:g} + {smoothing:g} / classes)" if smoothing else ""
    return [f"minimise  E[-log softmax(logits(x))[label]]{target}"]


def _gan_equations(recipe: GanRecipe) -> list[str]:
    objective, lines = recipe.objective, []
    loss = DISCRIMINATOR[objective.loss]
    if objective.label_smoothing:
        rest, share = 1 - objective.label_smoothing, objective.label_smoothing
        real, smoothed = SMOOTHED[objective.loss]
        loss = loss.replace(real, smoothed.format(rest=f"{rest:g}", share=f"{share:g}"))
    if objective.discriminator_terms == "half-sum":
        loss = f"({loss}) / 2"
    if objective.penalty != "none":
        loss += f"  +  {objective.lambda_:g} * {PENALTY[objective.penalty].format(s=f'{objective.sigma or 0:g}')}"
    if objective.players != "generator":
        lines.append(f"D minimises  {loss}")
    if objective.players != "discriminator":
        lines.append(f"G minimises  {GENERATOR[objective.loss]}")
    notes = ["p = s(D(x)), q = s(D(G(z)))"] if objective.loss == "bce-on-probabilities" else []
    if notes or "s(" in "".join(lines):
        notes.append("s is the logistic function")
    if recipe.discriminator_conditional:
        notes.append("D and G are told the class")
    elif recipe.conditional:
        notes.append("G is told the class, D is not")
    if objective.packing > 1:
        notes.append(f"D judges {objective.packing} images at once")
    if objective.clip:
        notes.append(f"D's weights are cut to +-{objective.clip:g}")
    if objective.critic_steps > 1:
        notes.append(f"{objective.critic_steps} steps of D for one of G")
    if " e" in loss and objective.penalty != "none" and objective.sigma:
        notes.append("e is standard normal noise")
    return [*lines, "; ".join(notes)] if notes else lines


def _vae_equations(recipe: VaeRecipe) -> list[str]:
    objective = recipe.objective
    gaussian, whole = objective.likelihood == "gaussian", objective.reconstruction == "sum"
    error = "(x - dec(z))^2" if gaussian else "cross-entropy(x, s(dec(z)))"
    error = f"{objective.reconstruction} over pixels of {error}" + (" / 2" if gaussian and whole else "")
    kl = "KL(q(z|x) || N(0, I))" + (f" / {recipe.latent}" if objective.kl == "mean" else "")
    lines = [
        f"minimise  E[{error}]  +  {objective.beta:g} * {kl}",
        "z ~ q(z|x) = N(mean(x), variance(x))" + (", both networks told the class" if recipe.conditional else ""),
    ]
    if objective.kl_warmup_steps:
        lines.append(f"the weight {objective.beta:g} is reached after {objective.kl_warmup_steps} steps")
    if objective.free_bits:
        lines.append(f"the KL of each unit counts as {objective.free_bits:g} nats where it is less")
    return lines
