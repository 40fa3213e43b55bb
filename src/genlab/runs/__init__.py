"""The run: its directory on disk, its checkpoints and provenance, and images drawn from its weights."""
