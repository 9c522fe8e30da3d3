"""Download what runs need of the Hugging Face hub: the arguments of run.py, such as experiment=table1.

python scripts/prefetch.py task=cifar_stitch
python scripts/prefetch.py experiment=table1 --dry-run     only lists
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# The script also runs from a checkout that is not installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main(arguments: list[str] | None = None) -> int:
    """Print the list, download, say what is there; the exit code is 2 if anything is missing then."""
    from relrep_exp.app.plan import make_plan
    from relrep_exp.data.hub.prefetch import merged, prefetch
    from relrep_exp.errors import UserError, tell

    args = parse(arguments)
    try:
        runs = make_plan(args.overrides, sweep=True)
        repos = merged(repo for run in runs for repo in run.request.wanted)
        if repos:
            prefetch(repos, any(run.config.runtime.offline for run in runs), args.dry_run)
        else:
            print(f"nothing of the hub is needed for {' '.join(args.overrides) or 'the default task'}")
    except UserError as error:
        return tell(error)
    except KeyboardInterrupt:
        print("interrupted: what has come is kept; the same command goes on from there", file=sys.stderr)
        return 130
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="as for run.py; several values are all fetched")
    parser.add_argument("--dry-run", action="store_true", help="list what would be downloaded, and stop")
    parser.add_argument("-m", "--multirun", action="store_true", help="accepted, as run.py has it")
    return parser.parse_intermixed_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
