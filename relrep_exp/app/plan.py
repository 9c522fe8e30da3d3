"""From a command line to the runs that it asks for, all checked before anything starts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from hydra.core.override_parser.types import Override

from relrep_exp.app.request import Request, load_plugins
from relrep_exp.config import overrides as words
from relrep_exp.config.compose import Composer
from relrep_exp.config.load import nearest_key
from relrep_exp.config.schema import Config, ExperimentConfig
from relrep_exp.errors import Problem, UserError, nearest
from relrep_exp.report.tables.paper_numbers import numbers
from relrep_exp.store.records import RecordStore
from relrep_exp.tasks.identity import method_name


@dataclass(frozen=True)
class Run:
    """A run of a plan.

    Attributes:
        arm: what makes it, as on the command line, and where it stands in the plan.
        config: the same, typed and checked.
    """

    arm: words.Arm
    config: Config

    @property
    def overrides(self) -> tuple[str, ...]:
        """The words that make it, as on the command line."""
        return self.arm.overrides

    @property
    def label(self) -> str:
        """Its method and seed."""
        return f"{method_name(self.config)} seed={self.config.seed}"

    @property
    def command(self) -> str:
        """The command that makes this run alone."""
        return words.command(words.alone(self.overrides, self.config.task.name))

    @cached_property
    def request(self) -> Request:
        """All that it asks for, worked out once."""
        return Request(self.config)

    @property
    def key(self) -> str:
        """The key of its record.

        Raises:
            UserError: a file that belongs to it is missing.
        """
        return self.request.key

    @property
    def known_key(self) -> str | None:
        """The key; None where a file that belongs to it is missing."""
        return self.request.known_key

    @property
    def store(self) -> RecordStore:
        """Where its record goes."""
        return self.request.records

    @property
    def place(self) -> str:
        """The record's file or, if that is unknown, the command: two runs that are one share it."""
        return self.command if (key := self.known_key) is None else str(self.store.path(key))


@dataclass(frozen=True)
class Part:
    """A part of what a command line asks for: an experiment in one form, a sweep, or one run.

    Attributes:
        runs: all of it, in order; some may be the same run.
        experiment: in the form of its profile; None outside one.
        command: what makes all of it again.
        folder: of the experiment's files below report/; a form that differs from the paper's has its own.
    """

    runs: tuple[Run, ...]
    experiment: ExperimentConfig | None
    command: str
    folder: str = ""


def make_parts(given: Sequence[Override], sweep: bool) -> list[Part]:
    """Compose, type and check all that a command line asks for.

    Args:
        given: overrides, without flags. `experiment=` may name several, or a collection of them.
        sweep: whether comma-separated values are meant to be swept over (-m).

    Raises:
        UserError: everything that is wrong with it, in one message.
    """
    parts, refused = [], dict[str, list[Problem]]()
    with Composer() as composer:
        asked = composer.experiments(given)
        for name, own in asked.items():
            try:
                parts.append(_part(composer, own, sweep))
            except UserError as error:
                refused[name] = error.problems
    if refused:
        having: dict[Problem, list[str]] = {}
        for name, problems in refused.items():
            for problem in problems:
                having.setdefault(problem, []).append(name)
        raise UserError(
            problem
            if len(names) == len(asked)  # what all experiments have is told without them
            else Problem(f"experiment={', '.join(names)}: {problem.what}", problem.remedy)
            for problem, names in having.items()
        )
    return parts


def make_plan(arguments: Sequence[str], sweep: bool) -> list[Run]:
    """List the runs of all parts of a command line, in order.

    Raises:
        UserError: as for `make_parts`, or its words or plugins cannot be read.
    """
    given = words.parse(arguments)
    load_plugins(words.plugin_paths(given))
    return [run for part in make_parts(given, sweep) for run in part.runs]


def distinct(runs: Iterable[Run]) -> list[Run]:
    """Take each run once, however many experiments, methods or settings that say the same ask for it."""
    found: dict[str, Run] = {}
    for run in runs:
        found.setdefault(run.place, run)
    return list(found.values())


def check_names(arguments: Sequence[str]) -> None:
    """Check that every choice and every key of a command line exists, whatever their values.

    Raises:
        UserError: all that do not.
    """
    given = words.parse(arguments)
    load_plugins(words.plugin_paths(given))
    with Composer() as composer:
        every = [composer.sort_out(own)[0] for own in composer.experiments(given).values()]
    if problems := list(dict.fromkeys(problem for problems in every for problem in problems)):
        raise UserError(problems)


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Put what its profile sets in front of a command line, for Hydra, which knows no profiles.

    Raises:
        UserError: it cannot be read, or there is no such profile.
    """
    given = words.parse(arguments)
    with Composer() as composer:
        profiled = composer.profiled(given).words
    return [str(override.input_line) for override in profiled]


def _part(composer: Composer, given: Sequence[Override], sweep: bool) -> Part:
    """Make the part of a command line whose words name one experiment or none.

    Raises:
        UserError: everything that is wrong with it.
    """
    problems, good = composer.sort_out(given)
    try:
        formed, configs = composer.runs(good, sweep, check_experiment)
    except UserError as error:
        raise UserError([*problems, *error.problems]) from None
    if problems:
        raise UserError(problems)
    runs = tuple(Run(arm, config) for arm, config in configs)
    texts = [str(override.input_line) for override in given if words.of_run(override)]
    command = words.command(texts, sweep=sweep and formed.experiment is None)
    return Part(runs, formed.experiment, command, formed.folder)


def check_experiment(experiment: ExperimentConfig, known: Collection[str]) -> None:
    """Check that what an experiment names exists: keys of its runs, encoders, numbers of the paper.

    Args:
        experiment: in the form of its profile.
        known: every dotted key that any of its runs has.

    Raises:
        UserError: some do not exist; all of them.
    """
    here, problems = f"experiment={experiment.name}", []
    own = {f"vary_of.{method}": vary for method, vary in experiment.vary_of.items()}
    for part, keys in {"axes": experiment.axes, "vary": experiment.vary, **own}.items():
        for key in keys:
            if key not in known:
                problems.append(
                    Problem(f"{here}: {part} names {key}, which no run has", nearest_key(key, known))
                )
    encoders = {key.split(".")[2] for key in known if key.startswith("zoo.encoders.")}
    for part in ("encoders", "test_encoders", "sources"):
        for name in getattr(experiment, part):
            if encoders and name not in encoders:  # those of a file are not known before it is read
                what = f"{here}: {part} names {name}, which is no encoder of the zoo"
                problems.append(Problem(what, nearest(name, encoders)))
    if (paper := experiment.paper) is not None and paper.numbers not in numbers():
        what = f"{here}: the paper has no numbers called {paper.numbers}"
        problems.append(Problem(what, nearest(paper.numbers, numbers())))
    if problems:
        raise UserError(problems)
