"""What may help against a finding in a user's own training loop, in PyTorch's terms."""

from __future__ import annotations

SEVERAL = (
    "let D see several images at once: torch.cat((x[::2], x[1::2]), 1) as its input, or the standard deviation over "
    "the batch as one more channel before its last layer"
)
ADVICE = {
    "wrong-optimiser": "give each optimiser one network: torch.optim.Adam(D.parameters(), ...), and G's likewise",
    "learning-rate-too-large": "a tenth of the learning rate: lr=... in the optimiser",
    "learning-rate-too-small": "ten times the learning rate: lr=... in the optimiser",
    "divergence": "a tenth of the learning rate, or torch.nn.utils.clip_grad_norm_ before the optimiser's step; a "
    "Wasserstein loss needs a bound on D: a gradient penalty, or clipped weights",
    "discriminator-not-learning": "call D's optimiser's step() in each turn, and check that it holds D.parameters()",
    "generator-not-learning": "call G's optimiser's step() in each turn, and do not detach() the images in G's loss",
    "dead-units": "nn.LeakyReLU(0.2) instead of nn.ReLU, and a smaller learning rate",
    "discriminator-won": "binary_cross_entropy_with_logits(D(fake), torch.ones(...)) as G's loss, on logits without a "
    "sigmoid; a smaller learning rate for D; or the R1 penalty on D's gradient at real images",
    "discriminator-weak": "a larger learning rate for D, or more layers in it",
    "discriminator-overfitting": "the same random shifts and cut-outs for all images that D sees, real and generated",
    "mode-collapse": SEVERAL,
    "z-ignored": "let D see several images of a class at once, or have a second network predict z from the image",
    "missing-classes": SEVERAL,
    "low-diversity": "a longer z, or a smaller learning rate for D",
    "condition-ignored": "tell D the class, too: otherwise nothing makes G draw it",
    "memorisation": "more training images, or random shifts of the existing ones",
    "noise": "images from an exponential moving average of G's weights: torch.optim.swa_utils.AveragedModel",
    "late-degradation": "keep the weights of the best step: torch.save(G.state_dict(), ...) at each evaluation",
    "oscillation": "betas=(0.5, 0.999) in Adam, and a moving average of G's weights for the images",
    "posterior-collapse": "sum the reconstruction over pixels and the KL over units, each a mean over images; or let "
    "the weight of the KL rise from 0 over the first epochs",
    "underfitting": "more steps; then more layers or wider ones",
    "overfitting": "more training images, weight decay, or early stopping",
    "blur": "a loss that rewards detail: that of a discriminator, or a likelihood with a smaller variance",
    "nothing-learned": "look at one batch as the network sees it: its range, its shape, its labels",
}
"""Finding -> what to try first."""
