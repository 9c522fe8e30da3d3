"""A researcher's own similarities and anchor strategies: one Python file each, named by `plugins=[FILE]`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore

from relrep_exp.errors import Problem, UserError
from relrep_exp.store.keys import file_digest

_SOURCES: dict[tuple[str, str], str] = {}
_LOADED: set[str] = set()


def load(paths: Sequence[str]) -> None:
    """Import the files; what they register can then be chosen like anything that is built in.

    Raises:
        UserError: a file is missing, cannot be imported or registers nothing.
    """
    problems = [
        problem for path in paths if (problem := _load(Path(path).expanduser().resolve())) is not None
    ]
    if problems:
        raise UserError(problems)


def names(group: str) -> list[str]:
    """What plugins added to a group of choices, `sim` or `anchors`."""
    return [name for kind, name in _SOURCES if kind == group]


def digests(**choices: str) -> dict[str, str]:
    """SHA-256 of the plugin file behind each choice that comes from one, by group."""
    return {group: _SOURCES[group, name] for group, name in choices.items() if (group, name) in _SOURCES}


def _load(path: Path) -> Problem | None:
    if str(path) in _LOADED:
        return None
    if not path.is_file():
        return Problem(f"plugins: there is no file {path}", "give the path of a Python file")
    before = _registered()
    try:
        _import(path)
    except (Exception, SystemExit) as error:  # whatever a user's file raises is told to the user
        return Problem(f"plugins: {path.name} fails: {type(error).__name__}: {error}", "mend the file")
    added = _registered() - before
    if not added:
        remedy = "decorate a function with @similarity(NAME) or @anchor_strategy(NAME)"
        return Problem(f"plugins: {path.name} registers nothing new", remedy)
    _LOADED.add(str(path))
    for group, name in added:
        _SOURCES[group, name] = file_digest(path)
        ConfigStore.instance().store(group=group, name=name, node=_defaults(group, name))
    return None


def _defaults(group: str, name: str) -> dict[str, object]:
    return {"name": name, "m": 300} if group == "anchors" else {"name": name}


def _registered() -> set[tuple[str, str]]:
    from relrep_exp.alignment.anchors import ANCHORS
    from relrep_exp.alignment.similarity import SIMILARITIES

    return {("anchors", name) for name in ANCHORS} | {("sim", name) for name in SIMILARITIES}


def _import(path: Path) -> None:
    name = f"relrep_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
