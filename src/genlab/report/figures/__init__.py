"""Figures of a run, each with its numbers."""
