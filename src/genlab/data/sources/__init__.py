"""Where images come from: each file here knows one kind of source; `collect` in `found` tells by its content which."""
