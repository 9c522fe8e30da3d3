"""Words to configurations: Hydra composes them, the schema types them, and what is wrong is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.singleton import Singleton
from hydra.core.utils import JobStatus, run_job
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

import relrep_exp.config.hydra_setup  # noqa: F401
from relrep_exp.config import overrides as words
from relrep_exp.config.load import folder_of, keys_of, load, load_experiment, of_profile, profiles_of
from relrep_exp.config.schema import Config, ExperimentConfig
from relrep_exp.errors import Problem, UserError, user_error
from relrep_exp.store.files import CONF

T = TypeVar("T")


@dataclass(frozen=True)
class Formed:
    """A command line with an experiment in one of its forms, or with none.

    Attributes:
        whole: the experiment with all of its forms.
        experiment: in the form that `profile` names.
        words: the overrides, behind those of the form.
        folder: of the experiment's files: its name, with the form's where the paper's is another.
    """

    whole: ExperimentConfig | None
    experiment: ExperimentConfig | None
    words: list[Override]
    folder: str = ""


def compose_run(given: Sequence[Override]) -> DictConfig:
    """Compose a single run, with Hydra's own settings; by Hydra alone.

    Raises:
        HydraException: a name does not exist.
    """
    with initialize_config_dir(str(CONF), job_name="run", version_base="1.3"):
        return compose("config", [str(o.input_line) for o in given], return_hydra_config=True)


def run_composed(composed: DictConfig, task: Callable[[Path], T]) -> T:
    """Run a task as a job of Hydra's, in the folder that `hydra.run.dir` names.

    Args:
        composed: by `compose_run`.
        task: takes the folder.
    """
    with initialize_config_dir(str(CONF), job_name="run", version_base="1.3"):
        context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks(composed))
        done = run_job(
            lambda _: task(Path(HydraConfig.get().runtime.output_dir)),
            composed,
            job_dir_key="hydra.run.dir",
            job_subdir_key=None,
            hydra_context=context,
        )
    if done.status is JobStatus.FAILED:
        raise done._return_value  # `return_value` would print the overrides before it raises
    returned: T = done.return_value
    return returned


class Composer:
    """Compose command lines over conf/, and tell all that is wrong with them."""

    def __enter__(self) -> Self:
        self._outside = Singleton.get_state()  # Hydra itself may be running, as it is around a sweeper
        GlobalHydra.instance().clear()
        self._hydra = initialize_config_dir(str(CONF), version_base="1.3")
        self._hydra.__enter__()
        self._loader = GlobalHydra.instance().config_loader()
        self._groups = self._loader.list_groups("")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hydra.__exit__(kind, error, trace)
        Singleton.set_state(self._outside)

    def compose(self, texts: Iterable[str], experiment: bool = True) -> DictConfig:
        """Compose these words, each with a single value.

        Runs that choose the same files and differ in values alone, as the seeds of an experiment do, share
        what Hydra makes of the files: 0.1 s of it for every run would be most of what a plan takes. The
        values are then set by the very function with which Hydra ends a composition.

        Args:
            texts: the words.
            experiment: whether to keep the experiment, which no run reads and which is long to copy.

        Raises:
            UserError: Hydra makes nothing of them.
        """
        parsed = words.parse(texts)
        files = [override for override in parsed if self._chooses(override) or words.of_hydra(override)]
        values = [override for override in parsed if override not in files]
        if not experiment:
            values = [o for o in values if not o.key_or_group.startswith("experiment.")]
        made = _of_files(tuple(str(override.input_line) for override in files), experiment)
        config = made.copy()
        try:
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except HydraException as error:
            known = _keys(made)
            unknown = [problem for override in values for problem in words.key_problems(override, known)]
            raise UserError(unknown or _refusal(error)) from None
        return config

    def sort_out(self, given: Sequence[Override]) -> tuple[list[Problem], list[Override]]:
        """Tell the words that are known from those that are not, which are problems."""
        self._let_glob(given)
        unknown: dict[int, list[Problem]] = {}
        for number, override in enumerate(given):
            if self._chooses(override) and not override.is_delete():
                options = self._loader.get_group_options(override.key_or_group, ObjectType.CONFIG)
                unknown[number] = words.choice_problems(override, options)
        # Which keys there are follows from the files, and from the experiment's form, which chooses some.
        choices = [o for n, o in enumerate(given) if not unknown.get(n, o.is_delete() or not _forms(o))]
        known = [*self._groups, *_keys(self.compose(words.first_values(self.profiled(choices).words)))]
        for number, override in enumerate(given):
            if number not in unknown:
                unknown[number] = words.key_problems(override, known)
        good = [override for number, override in enumerate(given) if not unknown[number]]
        return [problem for number in range(len(given)) for problem in unknown[number]], good

    def experiments(self, given: Sequence[Override]) -> dict[str, list[Override]]:
        """Split words into those of each experiment that they ask for, by its name; "" where there is none.

        A collection, as experiment=all, stands for those of its experiments that have the form asked for.
        """
        self._let_glob(given)
        chosen = next((override for override in given if override.key_or_group == "experiment"), None)
        options = self._loader.get_group_options("experiment", ObjectType.CONFIG)
        if chosen is None or words.choice_problems(chosen, options):
            return {"": list(given)}  # a name that there is not is told together with all else
        profile = [word for word in words.first_values(given) if word.startswith("profile=")]
        found: dict[str, list[Override]] = {}
        for text in words.each_value(chosen):
            members = self.compose([text, *profile]).get("experiments")
            for name in members or [text.split("=", 1)[1]]:
                own = f"experiment={name}"
                if members is not None:
                    whole = self.compose([own, *profile])
                    experiment = load_experiment(whole.experiment)
                    assert experiment is not None, "a collection names experiments"
                    if str(whole.profile) not in profiles_of(experiment):
                        continue
                found[name] = [word for o in given for word in (words.parse([own]) if o is chosen else [o])]
        return found

    def profiled(self, given: Sequence[Override]) -> Formed:
        """Put what the experiment's form sets in front of the words.

        Raises:
            UserError: there is no such form of it.
        """
        # Only what says the form: the rest of the words may need what the form sets, as a key of its zoo.
        self._let_glob(given)
        if several := [str(o.input_line) for o in given if _forms(o) and o.is_sweep_override()]:
            raise user_error(f"several experiments or profiles in {' '.join(several)}", "name one of them")
        whole = self.compose(words.first_values(self._forming(given)))
        experiment = load_experiment(whole.get("experiment"))
        if experiment is None:
            return Formed(None, None, list(given))
        named = {override.key_or_group for override in given}
        formed, profile = of_profile(experiment, str(whole.profile))
        ours = [o for o in words.parse(profile) if o.key_or_group not in named]
        return Formed(experiment, formed, [*ours, *given], folder_of(experiment, str(whole.profile)))

    def runs(
        self, given: Sequence[Override], sweep: bool, check: Callable[[ExperimentConfig, set[str]], None]
    ) -> tuple[Formed, list[tuple[words.Arm, Config]]]:
        """Expand words into runs with their typed configurations; a problem that many share is told once.

        Args:
            given: the command line.
            sweep: whether several values are meant to be swept over.
            check: refuses an experiment, given all keys that any of its runs has.

        Raises:
            UserError: some of them do not fit.
        """
        formed = self.profiled(given)
        swept = [str(o.input_line) for o in formed.words if o.is_sweep_override()]
        if swept and formed.experiment is None and not sweep:
            raise user_error(f"several values in {' '.join(swept)}", "add -m to run them all")
        keys: dict[str, set[str]] = {}  # those of each method, which follow from the files that it chooses
        if formed.experiment is not None:
            chosen = words.first_values(self._forming(formed.words))
            for name, own in formed.experiment.methods.items():
                keys[name] = set(_keys(self.compose([*chosen, *own])))
            check(formed.experiment, set().union(*keys.values()))
        runs: list[tuple[words.Arm, Config]] = []
        problems: dict[str, Problem] = {}
        for arm in words.expand(formed.words, formed.experiment, keys):
            try:
                config = load(self.compose(arm.overrides, experiment=False))
                runs.append((arm, replace(config, experiment=formed.whole)))
            except UserError as error:
                problems |= {str(problem): problem for problem in error.problems}
        if problems:
            raise UserError(problems.values())
        return formed, runs

    def _let_glob(self, overrides: Sequence[Override]) -> None:
        """Give overrides what glob() asks for the options of its group."""
        for override in overrides:
            override.config_loader = self._loader

    def _chooses(self, override: Override) -> bool:
        """Tell whether it chooses files of a group."""
        return override.key_or_group in self._groups or override.key_or_group.startswith("hydra/")

    def _forming(self, overrides: Iterable[Override]) -> list[Override]:
        """Keep the words that say which files are read, and in which form an experiment is."""
        return [override for override in overrides if self._chooses(override) or _forms(override)]


@lru_cache(maxsize=128)
def _of_files(choices: tuple[str, ...], experiment: bool) -> DictConfig:
    """Compose the words that choose files by Hydra, which has to be initialised; not to be changed."""
    if not experiment:
        config = _of_files(choices, True).copy()
        with open_dict(config):
            config.pop("experiment", None)
        return config
    try:
        return compose("config", overrides=list(choices))
    except HydraException as error:
        raise UserError(_refusal(error)) from None


def _keys(config: DictConfig) -> list[str]:
    """List every dotted key of a composed configuration."""
    values = OmegaConf.to_container(config)
    assert isinstance(values, dict)
    return keys_of(values)


def _refusal(error: HydraException) -> Problem:
    reason = " ".join(str(error).split())
    return Problem(f"configuration: {reason}", "python run.py --help lists the choices")


def _forms(override: Override) -> bool:
    """Tell whether it says what an experiment is, or in which form."""
    return override.key_or_group.split(".")[0] in ("experiment", "profile")
