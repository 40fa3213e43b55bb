"""Where images come from: each file here reads one kind of source; `found.collect` tells the kind by its content."""
