"""Networks: plain modules with flat arguments; no loss, no recipe, no dataset.

Every generator is called as ``generator(z)`` or, if conditional, ``generator(z, labels)``, with z float (N, latent) and
labels int64 (N,), and returns images (N, C, H, W) in [-1, 1]. Every discriminator is called as ``discriminator(x)`` or
``discriminator(x, labels)`` and returns logits (N,).
"""
