"""The command line: one function per command, each a thin wrapper around a public function."""
