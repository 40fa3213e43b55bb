"""How each kind of model learns: a folder for each family, with one complete record."""
