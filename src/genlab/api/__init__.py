"""The public verbs: `train`, `evaluate`, `compare` and `Run`; the command line only calls them."""
