"""A researcher's own kinds, strategies and similarities: Python files, named by `plugins=[FILE]`."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from relrep_exp.config.plugin_files import plugin_digest
from relrep_exp.config.schema import GROUPS
from relrep_exp.errors import Problem, UserError
from relrep_exp.store.inputs import expanded, is_file, reading

SOURCES: dict[tuple[str, str], str] = {}  # (group, name) -> SHA-256 of the files that registered it
_LOADED: set[str] = set()
_REMEDY = (
    "decorate a function with @similarity(NAME), @anchor_strategy(NAME), @task(KIND, SETTINGS) or the like"
)


def load(paths: Sequence[str], registered: Callable[[], set[tuple[str, str]]]) -> None:
    """Import the files; what they register can then be chosen like anything that is built in.

    Args:
        paths: the files; one that was loaded before is not loaded again.
        registered: tells every (group, name) that can be chosen now.

    Raises:
        UserError: a file is missing, cannot be imported or registers nothing.
    """
    problems: list[Problem] = []
    for named in paths:
        try:
            with reading(named):
                path = expanded(named).resolve()
                there = is_file(path)
        except UserError as error:
            problems += error.problems
            continue
        if str(path) in _LOADED:
            continue
        if not there:
            problems.append(Problem(f"plugins: there is no file {path}", "give the path of a Python file"))
            continue
        before, modules = registered(), set(sys.modules)
        try:
            _import(path)
        except (Exception, SystemExit) as error:  # whatever a user's file raises is told to the user
            what = f"plugins: {path.name} fails: {type(error).__name__}: {error}"
            problems.append(Problem(what, "mend the file"))
            continue
        added = registered() - before
        if not added:
            problems.append(Problem(f"plugins: {path.name} registers nothing new", _REMEDY))
            continue
        _LOADED.add(str(path))
        digest = plugin_digest(path, set(sys.modules) - modules)
        for group, name in added:
            SOURCES[group, name] = digest
            ConfigStore.instance().store(group=group, name=name, node=_defaults(group, name))
    if problems:
        raise UserError(problems)


def names(group: str) -> list[str]:
    """List what plugins added to a group of choices, such as `sim`, `anchors` or `task`."""
    return [name for kind, name in SOURCES if kind == group]


def _defaults(group: str, name: str) -> dict[str, Any]:
    """What `GROUP=NAME` composes, as a file of conf/ would: the settings' own defaults."""
    if group == "sim":
        return {"name": name}
    if group == "anchors" and name not in GROUPS["anchors"]:
        return {"name": name, "m": 300}
    node: dict[str, Any] = {}
    for field in dataclasses.fields(GROUPS[group][name]):
        if field.default is not dataclasses.MISSING:
            node[field.name] = getattr(field.default, "default", field.default)
        elif field.default_factory is not dataclasses.MISSING:
            node[field.name] = field.default_factory()
        else:
            node[field.name] = name if field.name in ("kind", "name") else MISSING
    return node


def _import(path: Path) -> None:
    name = f"relrep_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
