"""Former location of the adversarial losses, kept for one version; `genlab.AdversarialLoss` stays."""

import warnings

from genlab.families.gan.losses import *  # noqa: F403

warnings.warn(
    "genlab.losses has moved: AdversarialLoss is genlab.AdversarialLoss, the functions are in "
    "genlab.families.gan.losses",
    DeprecationWarning,
    stacklevel=2,
)
