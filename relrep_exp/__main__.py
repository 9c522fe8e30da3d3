"""python -m relrep_exp: the same as the `relrep` command."""

from relrep_exp.cli import entry

entry()
