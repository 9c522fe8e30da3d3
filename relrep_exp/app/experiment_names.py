"""What an experiment names must exist: keys of its runs, encoders of the zoo, numbers of the paper."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from relrep_exp.config.load import nearest_key
from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.errors import Problem, UserError, nearest
from relrep_exp.report.paper_numbers import numbers

_ENCODER = "zoo.encoders."


def require(experiment: ExperimentConfig, known: Collection[str]) -> None:
    """Check the names in the form of its profile, before any run is made.

    Args:
        experiment: in that form.
        known: every dotted key that any of its runs has.

    Raises:
        UserError: some do not exist; all of them.
    """
    problems = [*_keys(experiment, known), *_encoders(experiment, known), *_numbers(experiment)]
    if problems:
        raise UserError(problems)


def _keys(experiment: ExperimentConfig, known: Collection[str]) -> Iterable[Problem]:
    """Axes and variations of what no run has."""
    own = {f"vary_of.{method}": vary for method, vary in experiment.vary_of.items()}
    for part, keys in {"axes": experiment.axes, "vary": experiment.vary, **own}.items():
        for key in keys:
            if key not in known:
                what = f"experiment={experiment.name}: {part} names {key}, which no run has"
                yield Problem(what, nearest_key(key, known))


def _encoders(experiment: ExperimentConfig, known: Collection[str]) -> Iterable[Problem]:
    """Encoders that the zoo does not have; the names in a file of embeddings are not known yet."""
    names = {key.removeprefix(_ENCODER).split(".")[0] for key in known if key.startswith(_ENCODER)}
    for part in ("encoders", "test_encoders", "sources"):
        for name in getattr(experiment, part) if names else []:
            if name not in names:
                what = f"experiment={experiment.name}: {part} names {name}, which is no encoder of the zoo"
                yield Problem(what, nearest(name, names))


def _numbers(experiment: ExperimentConfig) -> Iterable[Problem]:
    if experiment.paper is not None and experiment.paper.numbers not in numbers():
        what = f"experiment={experiment.name}: the paper has no numbers called {experiment.paper.numbers}"
        yield Problem(what, nearest(experiment.paper.numbers, numbers()))
