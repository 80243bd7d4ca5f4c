"""The command line: thin shells over the library, a file per command or per few that belong together."""
