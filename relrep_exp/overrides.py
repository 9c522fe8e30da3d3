"""The words of a command line: read, expanded over swept values, and checked against what there is."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException

from relrep_exp.config import nearest, nearest_key
from relrep_exp.errors import Problem, UserError, user_error
from relrep_exp.schema import ExperimentConfig


def parse(arguments: Iterable[str]) -> list[Override]:
    """Hydra's overrides.

    Raises:
        UserError: some of the words are not overrides.
    """
    parser, parsed, problems = OverridesParser.create(), [], []
    for argument in arguments:
        try:
            parsed.append(parser.parse_override(argument))
        except HydraException as error:
            reason = str(error).splitlines()[0]
            problems.append(
                Problem(f"cannot read {argument!r}: {reason}", "write KEY=VALUE, quoted where needed")
            )
    if problems:
        raise UserError(problems)
    return parsed


def each_value(override: Override) -> list[str]:
    """The override once for each value that it sweeps over."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    try:
        return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
    except HydraException:
        raise user_error(
            f"{override.input_line}: an interval has no list of values", "give values, or range(...)"
        ) from None


def first_values(overrides: Iterable[Override]) -> list[str]:
    """The overrides with the first of their swept values."""
    return [each_value(override)[0] for override in overrides]


def expand(overrides: Sequence[Override], experiment: ExperimentConfig | None) -> list[tuple[str, ...]]:
    """The overrides of each run: all combinations of swept values, times an experiment's methods and axes.

    What the user sets by hand replaces the experiment's axis of that name.

    Args:
        overrides: the command line.
        experiment: what its file says, or None.
    """
    axes = [each_value(override) for override in overrides]
    if experiment is None:
        return list(itertools.product(*axes))
    given = {override.key_or_group for override in overrides}
    axes += [
        [f"{key}={value}" for value in values] for key, values in experiment.axes.items() if key not in given
    ]
    combined = list(itertools.product(*axes))
    return [(*values, *method) for method in experiment.methods.values() for values in combined]


def is_plain(override: Override) -> bool:
    """Whether it sets a key to a number, like seed=3, and so chooses no file of a group."""
    ours = not override.key_or_group.startswith("hydra.")
    return ours and override.type == OverrideType.CHANGE and isinstance(override.value(), int | float)


def plugin_paths(overrides: Iterable[Override]) -> list[str]:
    """The files of plugins=[...]."""
    for override in overrides:
        value = override.value()
        if override.key_or_group == "plugins" and isinstance(value, list):
            return [str(path) for path in value]
    return []


def choice_problems(override: Override, options: Sequence[str]) -> list[Problem]:
    """Names that a group does not have, with the nearest that it has."""
    names = [value.split("=", 1)[1] for value in each_value(override)]
    group = override.key_or_group
    unknown = [name for name in names if name not in options]
    return [Problem(f"{group}={name}: there is no such choice", nearest(name, options)) for name in unknown]


def key_problems(override: Override, known: Sequence[str]) -> list[Problem]:
    """A key that the configuration does not have, with the nearest that it has."""
    key = override.key_or_group
    added = override.is_add() or override.is_force_add()
    if key in known or added or key.split(".")[0] == "hydra":
        return []
    return [Problem(f"{key} is not a key of this configuration", nearest_key(key, known))]
