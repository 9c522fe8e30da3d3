"""The Hugging Face hub: the only place that touches it. Everything else reads local folders."""

from relrep_exp.hub.access import Status, check, commit, missing_bytes, snapshot, survey
from relrep_exp.hub.repo import Repo, cache_folder
from relrep_exp.hub.revisions import note_commit
from relrep_exp.hub.select import weight_files

__all__ = [
    "Repo",
    "Status",
    "cache_folder",
    "check",
    "commit",
    "missing_bytes",
    "note_commit",
    "snapshot",
    "survey",
    "weight_files",
]
