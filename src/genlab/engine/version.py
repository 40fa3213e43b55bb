"""Which version of genlab this is."""

VERSION = "0.1.0"
NUMERICS = 1
"""Raised by a commit that moves a golden trace or a metric: numbers of studies from before are stale."""
