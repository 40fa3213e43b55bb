"""The command line: a function for each command, each a thin call of a public function."""
