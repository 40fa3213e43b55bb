"""From a recipe to finished weights: one loop, with its start, its resume and its observers."""
