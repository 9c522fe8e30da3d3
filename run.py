"""python run.py task=cifar_stitch anchors=param sim=wip: see README.md, or python run.py --help."""

import sys

from relrep_exp.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
