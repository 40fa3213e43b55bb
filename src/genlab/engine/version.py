"""Which version of genlab this is."""

VERSION = "0.1.0"
