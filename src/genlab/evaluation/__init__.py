"""How good a model is: metrics of images from any source against a dataset's real images, with their protocol.

`sizes` infers how images were resized, `image_set` holds what the metrics see of a set of images, `catalogue` lists the
metrics, `models` measures what a run has beyond its images; `run` puts them together for a run, `live` during its
training; `cas` trains a classifier on the images, `judge_trial` tests a judge.
"""
