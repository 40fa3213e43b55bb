"""How good a model is: images from anywhere against the real ones of a dataset, as numbers with their protocol.

`samples` says what is measured and how it was resized, `image_set` what the metrics see of a set of images, `catalogue`
which metrics there are, `models` what else a run can be asked; `run` puts them together for a run, `live` during its
training; `cas` trains a classifier on the images, `judge_trial` tries a judge.
"""
