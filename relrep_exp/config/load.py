"""The one place where composed YAML becomes typed objects, with every fault told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import rebuild_dataclass

from relrep_exp.config.schema import GROUPS, Config, ExperimentConfig, ProfileConfig
from relrep_exp.config.schema.types import ENGLISH
from relrep_exp.errors import Problem, UserError, nearest

_VALIDATORS: dict[int, TypeAdapter[Config]] = {}  # how many kinds were added -> what knows all of them
_EXPERIMENT = TypeAdapter(ExperimentConfig)


def load(composed: DictConfig) -> Config:
    """Type a composed configuration.

    Raises:
        UserError: values missing, unknown, of the wrong type or out of range; all of them in one message.
    """
    if "hydra" in composed:  # its own settings are none of a run's, and some are only known when it starts
        composed = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    try:
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        missing = [_missing(key) for key in OmegaConf.missing_keys(composed)]
        unread = Problem(f"configuration: {error}", "see python run.py --cfg job")
        raise UserError(missing or unread) from None
    assert isinstance(values, dict)
    for group, kinds in GROUPS.items():
        kinds.look_up(values.get(group))
    added = sum(kinds.added for kinds in GROUPS.values())
    if added not in _VALIDATORS:
        rebuild_dataclass(Config, force=True)  # type: ignore[arg-type]  # pydantic's own dataclass
        _VALIDATORS[added] = TypeAdapter(Config)
    try:
        return _VALIDATORS[added].validate_python(values)
    except ValidationError as error:
        raise UserError(_problems(error.errors(), values)) from None


def own_pairs_of(parallel: str, use: str, data: str, views: int) -> bool:
    """Tell whether a task's own samples are paired, by the kinds of both, `parallel.use` and the views."""
    # Of all data the only kind whose rows are not the same everywhere; in one language they are.
    needed = data == "texts" and views > 1
    return parallel == "own" or (use == "where_needed" and not needed)


def _param_batch(batch: int, parallel: DictConfig, data: DictConfig, zoo: DictConfig) -> int:
    """Choose, for conf/anchors/param, the batch of PARAM, or what suits the samples that it learns P on."""
    encoders = (zoo.encoders or {}).values() if data.kind == "texts" else ()
    languages = {encoder.get("language", ENGLISH) for encoder in encoders}
    own = own_pairs_of(parallel.kind, parallel.use, data.kind, len(languages))
    return (data if own else parallel).get("param_batch") or batch


OmegaConf.register_new_resolver("param_batch", _param_batch, replace=True)


def load_experiment(node: Any) -> ExperimentConfig | None:
    """Type the `experiment` node of a composed configuration; None where there is none.

    Raises:
        UserError: it is no experiment.
    """
    if node is None:
        return None
    values = OmegaConf.to_container(node, resolve=True)
    try:
        return _EXPERIMENT.validate_python(values)
    except ValidationError as error:
        faults = [{**fault, "loc": ("experiment", *fault["loc"])} for fault in error.errors()]
        raise UserError(_problems(faults, {"experiment": values})) from None


def profiles_of(experiment: ExperimentConfig) -> dict[str, ProfileConfig]:
    """List the forms that an experiment has; one that names none has the paper's alone."""
    return {str(name): form for name, form in (experiment.profiles or {"paper": ProfileConfig()}).items()}


def folder_of(experiment: ExperimentConfig, profile: str) -> str:
    """Name the folder of an experiment's files: forms that differ in more than words need one each."""
    forms = {name: replace(form, note="") for name, form in profiles_of(experiment).items()}
    return experiment.name if forms[profile] == forms.get("paper") else f"{experiment.name}-{profile}"


def of_profile(experiment: ExperimentConfig, name: str) -> tuple[ExperimentConfig, list[str]]:
    """Put an experiment into one of its forms, with the overrides that every run of that form gets.

    Raises:
        UserError: it has no such form.
    """
    profiles = profiles_of(experiment)
    profile = profiles.get(name)
    if profile is None:
        what = f"profile={name}: experiment={experiment.name} has no such form"
        raise UserError(Problem(what, f"use profile={' or profile='.join(profiles)}"))
    parts = {part: getattr(experiment, part) | getattr(profile, part) for part in ("axes", "vary")}
    named = ("encoders", "test_encoders", "sources", "note")
    shown = {name: getattr(profile, name) or getattr(experiment, name) for name in named}
    return replace(experiment, **parts, **shown), profile.set


def nearest_key(name: str, keys: Iterable[str]) -> str:
    """Tell what an unknown key could be; of all keys there are too many to be listed."""
    close = get_close_matches(name, sorted(set(keys)), n=3, cutoff=0.5)
    asked = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{asked}python run.py --cfg job shows every key"


def keys_of(values: Mapping[Any, Any], prefix: str = "") -> list[str]:
    """List every dotted key of nested values."""
    found = []
    for name, value in values.items():
        found.append(f"{prefix}{name}")
        if isinstance(value, Mapping):
            found += keys_of(value, f"{prefix}{name}.")
    return found


def _missing(key: str) -> Problem:
    return Problem(f"{key} is not set", f"give it on the command line: {key}=VALUE")


def _problems(faults: Iterable[Any], values: Mapping[Any, Any]) -> list[Problem]:
    """Faults in the user's terms; where none of several forms fits a value, that is one fault."""
    merged: dict[tuple[Any, ...], Any] = {}
    for number, fault in enumerate(faults):
        branches = isinstance(_value(fault["loc"][:-1], values), str | int | float)
        place = fault["loc"][:-1] if branches else (*fault["loc"], number)
        first = merged.setdefault(place, dict(fault))
        if first["msg"] != fault["msg"]:
            first["msg"] += f", or {_lower(fault['msg']).removeprefix('input should be ')}"
    return [_problem(fault, values) for fault in merged.values()]


def _value(location: tuple[int | str, ...], values: Mapping[Any, Any]) -> Any:
    """What stands there; the names of kinds, which are no keys, are skipped."""
    here: Any = values
    for part in location:
        if isinstance(here, Mapping) and part in here:
            here = here[part]
    return here


def _problem(fault: Any, values: Mapping[Any, Any]) -> Problem:
    """One validation fault in the user's terms."""
    key = _dotted(fault["loc"], values)
    if fault["type"] == "unexpected_keyword_argument":
        siblings = [name for name in keys_of(values) if name != key]
        return Problem(f"{key} is not a key here", f"remove it, or {nearest_key(key, siblings)}")
    if fault["type"] in ("missing", "missing_argument"):
        return _missing(key)
    if fault["type"] == "union_tag_not_found":
        return _missing(f"{key}.kind")
    if fault["type"] == "union_tag_invalid":
        kinds = fault["ctx"]["expected_tags"].replace("'", "").split(", ")
        return Problem(f"{key}.kind={fault['ctx']['tag']}: no such kind", nearest(fault["ctx"]["tag"], kinds))
    shown = fault.get("input")
    return Problem(f"{key}={shown!r}: {_lower(fault['msg'])}", f"give {key} a value that fits")


def _dotted(location: tuple[int | str, ...], values: Mapping[Any, Any]) -> str:
    """The key of a fault; the tags that stand for kinds of a union are no part of it."""
    parts, here = [], values
    for number, part in enumerate(location):
        known = isinstance(here, Mapping) and part in here
        tag = isinstance(here, Mapping) and not known and here.get("kind") == part
        last = number == len(location) - 1 and isinstance(here, Mapping)  # behind a value: a form of it
        if known or isinstance(part, int) or (last and not tag):
            parts.append(str(part))
        if known:
            here = here[part]
    return ".".join(parts)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
