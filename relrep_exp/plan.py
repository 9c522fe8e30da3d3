"""From a command line to the runs that it asks for, all checked before anything starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import TracebackType
from typing import Self

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.singleton import Singleton
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from relrep_exp import overrides as words
from relrep_exp import plugins
from relrep_exp.config import conf_dir, keys_of, load, load_experiment, of_profile
from relrep_exp.errors import Problem, UserError, user_error
from relrep_exp.identity import method_name
from relrep_exp.reads import own_pairs_of
from relrep_exp.schema import Config, ExperimentConfig, ParamAnchors

OmegaConf.register_new_resolver("pid", os.getpid, replace=True)


def _param_batch(parallel: DictConfig, data: DictConfig) -> int:
    """What conf/anchors/param calls: the batch of PARAM suits the samples that it learns P on."""
    own = own_pairs_of(parallel.kind, parallel.use, data.kind)
    return (data if own else parallel).get("param_batch") or ParamAnchors.batch


OmegaConf.register_new_resolver("param_batch", _param_batch, replace=True)


@dataclass(frozen=True)
class Run:
    """One run of a plan.

    Attributes:
        arm: what makes it, as on the command line, and where it stands in the plan.
        config: the same, typed and checked.
    """

    arm: words.Arm
    config: Config

    @property
    def overrides(self) -> tuple[str, ...]:
        """What makes it, as on the command line."""
        return self.arm.overrides

    @property
    def label(self) -> str:
        """Its method and seed."""
        return f"{method_name(self.config)} seed={self.config.seed}"

    @property
    def command(self) -> str:
        """What makes this run alone."""
        return " ".join(["python run.py", *words.alone(self.overrides, self.config.task.name)])


def make_plan(arguments: Sequence[str], sweep: bool) -> list[Run]:
    """All runs that a command line asks for.

    Args:
        arguments: overrides, without flags.
        sweep: whether comma-separated values are meant to be swept over (-m).

    Raises:
        UserError: everything that is wrong with it, in one message.
    """
    given = words.parse(arguments)
    plugins.load(words.plugin_paths(given))
    with Composer() as composer:
        problems, good = composer.sort_out(given)
        try:
            runs = composer.runs(good, sweep)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return runs


def check_names(arguments: Sequence[str]) -> None:
    """Check that every choice and every key of a command line exists, whatever their values.

    Raises:
        UserError: all that do not.
    """
    given = words.parse(arguments)
    plugins.load(words.plugin_paths(given))
    with Composer() as composer:
        problems, _ = composer.sort_out(given)
    if problems:
        raise UserError(problems)


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """A command line with what its profile sets in front, for Hydra, which composes it and knows no profiles.

    Raises:
        UserError: it cannot be read, or there is no such profile.
    """
    given = words.parse(arguments)
    with Composer() as composer:
        _, profiled = composer.profiled(given)
    return [str(override.input_line) for override in profiled]


class Composer:
    """Hydra's compose API over conf/. Runs that differ in single values alone are composed once."""

    def __enter__(self) -> Self:
        self._outside = Singleton.get_state()  # Hydra itself may be running, as it is around a sweeper
        GlobalHydra.instance().clear()
        self._hydra = initialize_config_dir(str(conf_dir()), version_base="1.3")
        self._hydra.__enter__()
        self._loader = GlobalHydra.instance().config_loader()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hydra.__exit__(kind, error, trace)
        Singleton.set_state(self._outside)

    def sort_out(self, given: Sequence[Override]) -> tuple[list[Problem], list[Override]]:
        """What is unknown, and the overrides that are not."""
        problems: dict[int, list[Problem]] = {}
        self._let_glob(given)
        for number, override in enumerate(given):
            if self._is_choice(override) and not override.is_delete():
                options = self._loader.get_group_options(override.key_or_group, ObjectType.CONFIG)
                problems[number] = words.choice_problems(override, options)
        forming = [n for n, o in enumerate(given) if _forms(o) and not o.is_delete()]
        choices = [o for n, o in enumerate(given) if not problems.get(n, n not in forming)]
        _, composed = self.profiled(choices)
        known = [*self._loader.list_groups(""), *_keys(self.compose(words.first_values(composed)))]
        for number, override in enumerate(given):
            if number not in problems:
                problems[number] = words.key_problems(override, known)
        good = [override for number, override in enumerate(given) if not problems[number]]
        return [problem for number in sorted(problems) for problem in problems[number]], good

    def profiled(self, given: Sequence[Override]) -> tuple[ExperimentConfig | None, list[Override]]:
        """The experiment in the form that `profile` names, and the overrides behind those of the profile.

        Raises:
            UserError: there is no such form of it.
        """
        # Only what says the form: the rest of the words may need what the form sets, as a key of its zoo.
        self._let_glob(given)
        if several := [str(o.input_line) for o in given if _forms(o) and o.is_sweep_override()]:
            raise user_error(
                f"several forms in {' '.join(several)}", "run one experiment in one form at a time"
            )
        forming = [override for override in given if self._is_choice(override) or _forms(override)]
        composed = self.compose(words.first_values(forming))
        experiment = load_experiment(OmegaConf.select(composed, "experiment"))
        if experiment is None:
            return None, list(given)
        named = {override.key_or_group for override in given}
        formed, profile = of_profile(experiment, str(composed.profile))
        ours = [o for o in words.parse(profile) if o.key_or_group not in named]
        return formed, [*ours, *given]

    def runs(self, given: Sequence[Override], sweep: bool) -> list[Run]:
        """Typed runs; a problem that many of them share is told once."""
        experiment, given = self.profiled(given)
        self.compose(words.first_values(given))  # all words together: one may take away what another sets
        swept = [str(o.input_line) for o in given if o.is_sweep_override()]
        if swept and experiment is None and not sweep:
            raise user_error(f"several values in {' '.join(swept)}", "add -m to run them all")
        runs: list[Run] = []
        problems: dict[str, Problem] = {}
        for arm in words.expand(given, experiment):
            try:
                runs.append(Run(arm, self.typed(arm.overrides)))
            except UserError as error:
                problems |= {str(problem): problem for problem in error.problems}
        if problems:
            raise UserError(problems.values())
        return runs

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration that these overrides make."""
        chosen, plain = self._chosen(overrides)
        return _with(chosen.whole, plain, chosen.keys)

    def typed(self, overrides: Sequence[str]) -> Config:
        """The same as typed objects; an experiment, long and the same for all its runs, is read once.

        Raises:
            UserError: values that do not fit.
        """
        chosen, plain = self._chosen(overrides)
        return replace(load(_with(chosen.run, plain, chosen.keys)), experiment=chosen.experiment)

    def _chosen(self, overrides: Sequence[str]) -> tuple[_Composed, list[Override]]:
        """What Hydra composes, and the values to be set in it afterwards."""
        parsed = words.parse(overrides)
        plain = [override for override in parsed if words.is_plain(override)]
        choices = tuple(str(o.input_line) for o in parsed if o not in plain)
        return _composed(choices), plain

    def _let_glob(self, overrides: Sequence[Override]) -> None:
        """glob() asks for the options of its group."""
        for override in overrides:
            override.config_loader = self._loader

    def _is_choice(self, override: Override) -> bool:
        return override.key_or_group in self._loader.list_groups("") or override.key_or_group.startswith(
            "hydra/"
        )


def _forms(override: Override) -> bool:
    """Whether it says what an experiment is, or in which form."""
    return override.key_or_group.split(".")[0] in ("experiment", "profile")


@dataclass(frozen=True)
class _Composed:
    """A configuration, its keys, and its parts: what a run needs, and the experiment that it belongs to."""

    whole: DictConfig
    keys: list[str]
    run: DictConfig
    experiment: ExperimentConfig | None

    @classmethod
    def of(cls, whole: DictConfig) -> _Composed:
        run = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "experiment"])
        return cls(whole, _keys(whole), run, load_experiment(whole.get("experiment")))


def _with(composed: DictConfig, plain: Sequence[Override], keys: Sequence[str]) -> DictConfig:
    """A copy with these values."""
    if problems := [problem for override in plain for problem in words.key_problems(override, keys)]:
        raise UserError(problems)  # of one arm of a sweep: the other arms may well have the key
    config = composed.copy()
    for override in plain:
        OmegaConf.update(config, override.key_or_group, override.value(), force_add=False)
    return config


def _keys(composed: DictConfig) -> list[str]:
    """Every dotted key that a configuration has."""
    values = OmegaConf.to_container(composed)
    assert isinstance(values, dict)
    return keys_of(values)


@lru_cache(maxsize=64)
def _composed(choices: tuple[str, ...]) -> _Composed:
    """What Hydra makes of these words; a command asks for the same several times."""
    return _Composed.of(_compose(choices))


def _compose(overrides: tuple[str, ...]) -> DictConfig:
    try:
        return compose("config", overrides=list(overrides))
    except HydraException as error:
        reason = " ".join(str(error).split())
        raise user_error(f"configuration: {reason}", "python run.py --help lists the choices") from None
