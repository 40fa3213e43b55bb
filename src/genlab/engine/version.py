"""The version of genlab."""

VERSION = "0.1.0"
NUMERICS = 1
"""Increased by each commit that changes a golden trace or a metric: numbers of earlier studies are then stale."""
