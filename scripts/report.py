"""Build one page with every table, figure and number from the records of one or several outputs folders."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# The script also runs from a checkout that is not installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main(arguments: list[str] | None = None) -> int:
    """Read the records, write the page, print what is wrong with the store and where the page is."""
    from relrep_exp.errors import Problem, UserError, tell
    from relrep_exp.report.page.library import library
    from relrep_exp.report.page.page import build
    from relrep_exp.store.files import require_writable

    parser = argparse.ArgumentParser(description=__doc__)
    several = "a folder that holds records/; may be given several times, the first has precedence (outputs)"
    parser.add_argument("--outputs", type=Path, action="append", metavar="FOLDER", help=several)
    place = "where the page goes (report/ of the first)"
    parser.add_argument("--to", type=Path, metavar="FOLDER", help=place)
    given = parser.parse_args(arguments)
    outputs = given.outputs or [Path("outputs")]
    folder = given.to or outputs[0] / "report"
    try:
        found = library(outputs)
        if faults := require_writable(folder):
            raise UserError(Problem(fault.what, "write the page elsewhere: --to FOLDER") for fault in faults)
        page, problems = build(found, folder)
    except UserError as error:
        return tell(error)
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)
    print(f"report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
