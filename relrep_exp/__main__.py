"""python -m relrep_exp: the same as the `relrep` command."""

from relrep_exp.app.cli import entry

entry()
