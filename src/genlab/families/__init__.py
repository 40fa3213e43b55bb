"""How each kind of model learns: one folder per family, each with one complete record."""
