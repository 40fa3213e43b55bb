"""Former location of the metrics, kept for one version; they are now in `genlab.evaluation.metrics`."""

import warnings

from genlab.evaluation.metrics import *  # noqa: F403

warnings.warn("genlab.metrics has moved to genlab.evaluation.metrics", DeprecationWarning, stacklevel=2)
