"""Benchmarks: genlab compared with the reports' own way of training, in speed and in time to quality.

`loops` has both as objects that make one step at a time, `timing` times steps side by side and finds the machine's
peak, `quality` measures how long training takes to reach a Frechet distance; `records` holds earlier results.
"""
