"""The Hugging Face hub: the only place that touches it. Everything else reads local folders."""

from relrep_exp.data.hub.access import Status, check, commit, snapshot, survey
from relrep_exp.data.hub.repo import Repo, cache_folder
from relrep_exp.data.hub.revisions import note_commit
from relrep_exp.data.hub.select import weight_files

__all__ = [
    "Repo",
    "Status",
    "cache_folder",
    "check",
    "commit",
    "note_commit",
    "snapshot",
    "survey",
    "weight_files",
]
