"""What can be observed of a training loop other than genlab's: its numbers, its networks' steps, its samples."""
