"""`python -m genlab`: the command line where the `genlab` script is not on the path."""

from genlab.cli.main import main

main()
