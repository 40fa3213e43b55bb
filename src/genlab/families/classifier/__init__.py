"""Classifiers: the judges, and the networks that an encoder can start from."""
