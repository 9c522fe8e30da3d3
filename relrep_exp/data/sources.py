"""From the configuration of data to samples: which file reads which kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any

from relrep_exp.store.keys import content_key

if TYPE_CHECKING:
    from relrep_exp.config.schema import DataConfig, ParallelConfig
    from relrep_exp.data.samples import Samples

# kind -> the module with `identity(config, views, offline)` and `load(config, views, offline)`
_READERS = {
    "digits": "relrep_exp.data.digits",
    "digits_described": "relrep_exp.data.described_digits",
    "images": "relrep_exp.data.images",
    "captioned": "relrep_exp.data.captioned",
    "texts": "relrep_exp.data.texts",
    "sib200": "relrep_exp.data.sib200",
    "templates": "relrep_exp.data.templates",
    "reviews": "relrep_exp.data.reviews",
    "clusters": "relrep_exp.data.clusters",
    "subsets": "relrep_exp.data.paired_subsets",
    "table": "relrep_exp.data.paired_files",
    "files": "relrep_exp.data.paired_files",
}
# what samples may be -> the kinds of data that have it
HOLD: Mapping[str, tuple[str, ...]] = {
    "images": ("digits", "digits_described", "images", "captioned"),
    "texts": ("texts", "sib200", "templates", "reviews", "digits_described", "captioned"),
    "points": ("clusters",),
}
_recent: dict[str, Samples] = {}  # what was read last: local encoders that have to be trained read it, too


def identity(
    config: DataConfig | ParallelConfig, views: Sequence[str], offline: bool
) -> dict[str, dict[str, Any]]:
    """What tells the samples of each view, their labels and their split from others; loads nothing heavy.

    Raises:
        UserError: files are missing, or a view does not exist: every problem in one message.
    """
    found: dict[str, dict[str, Any]] = _reader(config).identity(config, views, offline)
    return found


def load(config: DataConfig | ParallelConfig, views: Sequence[str], offline: bool) -> Samples:
    """The samples of these views.

    Raises:
        UserError: the files are not what the configuration says: every problem in one message.
    """
    key = content_key({"request": repr(config), "samples": identity(config, views, offline)})
    if key not in _recent:
        while len(_recent) > 1:  # a run needs two: its own samples and the paired ones
            _recent.pop(next(iter(_recent)))
        _recent[key] = _reader(config).load(config, views, offline)
    return _recent[key]


def _reader(config: Any) -> Any:
    return import_module(_READERS[config.kind])


def settings(config: Any, *leave_out: str) -> Mapping[str, Any]:
    """The keys of a configuration that determine samples: not where a copy of them lies."""
    never = {"root", "path", "on_error", "param_batch", "use", *leave_out}
    return {key: value for key, value in asdict(config).items() if key not in never}
