"""Processes that a test marks, with all that they start, so that it sees which are still there."""

import os
from pathlib import Path


def mark(name):
    """In a process: what it starts from now on carries this name in its environment."""
    os.environ["RELREP_TEST_MARK"] = name


def running(name):
    """The processes that carry a name and have not ended, though nobody may have heard of their end yet."""
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _carries(folder, name)]


def _carries(folder, name):
    try:
        ended = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
        return not ended and f"RELREP_TEST_MARK={name}".encode() in (folder / "environ").read_bytes()
    except OSError:  # it has ended meanwhile
        return False
