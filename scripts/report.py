"""Build outputs/report/index.html from the records: python scripts/report.py [--outputs outputs]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# The script also runs from a checkout that is not installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main(arguments: list[str] | None = None) -> int:
    """Read the records, write the page, print where it is."""
    from relrep_exp.errors import UserError
    from relrep_exp.report.page import build
    from relrep_exp.store.records import RecordStore

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--outputs", type=Path, default=Path("outputs"), help="the folder that holds records/"
    )
    outputs = parser.parse_args(arguments).outputs
    try:
        page = build(RecordStore(outputs / "records").all(), outputs / "report")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
