"""Benchmarks: genlab beside the reports' own way of training, in speed and in time to quality.

`loops` has both as things that make one step after another, `timing` says how steps are timed side by side and what the
machine could do at most, `quality` how long a training takes to a Frechet distance; `records` what was reached before.
"""
