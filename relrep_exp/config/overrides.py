"""The words of a command line: read, expanded over swept values, and checked against what there is."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from relrep_exp.config.load import nearest_key
from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.errors import Problem, UserError, nearest, user_error


def parse(arguments: Iterable[str]) -> list[Override]:
    """Read words as Hydra's overrides.

    Raises:
        UserError: some of the words are not overrides.
    """
    parsed, problems = [], []
    for argument in arguments:
        try:
            parsed.append(_override(argument))
        except HydraException as error:
            reason = str(error).splitlines()[0]
            problems.append(
                Problem(f"cannot read {argument!r}: {reason}", "write KEY=VALUE, quoted where needed")
            )
    if problems:
        raise UserError(problems)
    return parsed


@lru_cache(maxsize=4096)  # thousands of runs are made of the same few words, and the parser is slow
def _override(argument: str) -> Override:
    return OverridesParser.create().parse_override(argument)


def each_value(override: Override) -> list[str]:
    """Spell the override once for each value that it sweeps over."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    try:
        return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
    except HydraException:
        raise user_error(
            f"{override.input_line}: an interval has no list of values", "give values, or range(...)"
        ) from None


def first_values(overrides: Iterable[Override]) -> list[str]:
    """Spell the overrides with the first of their swept values."""
    return [each_value(override)[0] for override in overrides]


@dataclass(frozen=True)
class Arm:
    """One run of a sweep or of an experiment, and where it stands in it.

    Attributes:
        overrides: what makes it.
        method: as the experiment calls it; "" outside one.
        at: its value of everything that is swept over, by key.
        varied: the one key that was changed from the method's own setting, and its value; None for the base.
    """

    overrides: tuple[str, ...]
    method: str = ""
    at: Mapping[str, Any] = field(default_factory=dict)
    varied: tuple[str, Any] | None = None


def expand(
    overrides: Sequence[Override],
    experiment: ExperimentConfig | None,
    keys: Mapping[str, Collection[str]] | None = None,
) -> list[Arm]:
    """List the runs: all combinations of swept values, times an experiment's methods, axes and variations.

    What the user sets by hand replaces an axis or a variation of that key; what a method sets stays. A key
    that other methods have goes past those that do not: `aligner.support=1000` says nothing to `absolute`.

    Args:
        overrides: the command line.
        experiment: what its file says for the profile, or None.
        keys: the keys that the runs of each of its methods have.

    Raises:
        UserError: Hydra's own settings are swept over.
    """
    if swept_hydra := [str(o.input_line) for o in overrides if of_hydra(o) and o.is_sweep_override()]:
        raise user_error(
            f"several values in {' '.join(swept_hydra)}", "one launcher starts all runs: give one value"
        )
    overrides = [override for override in overrides if not of_hydra(override)]
    axes = {o.key_or_group: each_value(o) for o in overrides}
    swept = {o.key_or_group for o in overrides if o.is_sweep_override()}
    if experiment is None:
        return [Arm(texts, at=_values(texts, swept)) for texts in itertools.product(*axes.values())]
    given = set(axes)
    swept |= set(experiment.axes)
    axes |= {k: [word(k, v) for v in vs] for k, vs in experiment.axes.items() if k not in given}
    arms = []
    has = keys or {}
    for method, own in experiment.methods.items():
        past = set().union(*has.values()).difference(has.get(method, ()))
        for texts in itertools.product(*axes.values()):
            fitting = [text for key, text in zip(axes, texts, strict=True) if key not in past]
            base = Arm((*fitting, *own), method, _values(texts, swept))
            arms += [base, *_variations(base, experiment, given)]
    return arms


def _variations(base: Arm, experiment: ExperimentConfig, given: set[str]) -> list[Arm]:
    """The same run with one key changed at a time."""
    return [
        Arm((*base.overrides, word(key, value)), base.method, base.at, (key, value))
        for key, values in experiment.vary_of.get(base.method, experiment.vary).items()
        if key not in given
        for value in values
    ]


def word(key: str, value: Any) -> str:
    """Spell an override as on the command line."""
    spelt = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
    return f"{key}={spelt}"


def _values(texts: Sequence[str], keys: set[str]) -> dict[str, Any]:
    """The values that some of the overrides give."""
    return {o.key_or_group: o.value() for o in parse(texts) if o.key_or_group in keys}


def alone(overrides: Iterable[str], task: str) -> list[str]:
    """Keep the overrides that make a run outside its experiment, whose file may have chosen the task."""
    kept = [text for text in overrides if _root(text) not in ("experiment", "profile", "plan")]
    chosen = any(text.startswith("task=") for text in kept)
    return kept if chosen else [word("task", task), *kept]


def command(texts: Iterable[str], sweep: bool = False) -> str:
    """Spell a command line that a shell can read."""
    return shlex.join(["python", "run.py", *(["-m"] if sweep else []), *texts])


def of_hydra(override: Override) -> bool:
    """Tell whether it is a setting of Hydra's, such as its launcher, which is the same for all runs."""
    return override.key_or_group.split("/")[0].split(".")[0] == "hydra"


def of_run(override: Override) -> bool:
    """Tell whether it says what is run, not who launches it nor that it is only planned."""
    return not of_hydra(override) and override.key_or_group != "plan"


def _root(text: str) -> str:
    """The first part of an override's key."""
    return text.lstrip("+~").split("=")[0].split(".")[0]


def plugin_paths(overrides: Iterable[Override]) -> list[str]:
    """List the files of plugins=[...]."""
    for override in overrides:
        value = override.value()
        if override.key_or_group == "plugins" and isinstance(value, list):
            return [str(path) for path in value]
    return []


def launcher_of(overrides: Iterable[Override]) -> str:
    """Name the launcher that a command line chooses."""
    chosen = [str(o.value()) for o in overrides if o.key_or_group == "hydra/launcher"]
    return chosen[-1] if chosen else "basic"


def choice_problems(override: Override, options: Sequence[str]) -> list[Problem]:
    """Find names that a group does not have, with the nearest that it has."""
    names = [value.split("=", 1)[1] for value in each_value(override)]
    group = override.key_or_group
    unknown = [name for name in names if name not in options]
    return [Problem(f"{group}={name}: there is no such choice", nearest(name, options)) for name in unknown]


def key_problems(override: Override, known: Sequence[str]) -> list[Problem]:
    """Find a key that the configuration does not have, with the nearest that it has."""
    key = override.key_or_group
    added = override.is_add() or override.is_force_add()
    if key in known or added or key.split(".")[0] == "hydra":
        return []
    return [Problem(f"{key} is not a key of this configuration", nearest_key(key, known))]
