"""What can be seen of a training loop that is not genlab's own: its numbers, its networks' steps, its samples."""
