"""Words to configurations: Hydra composes them, the schema types them, and what is wrong is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.singleton import Singleton
from hydra.core.utils import JobStatus, run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

import relrep_exp.config.hydra_setup  # noqa: F401
from relrep_exp.config import overrides as words
from relrep_exp.config.choices import Composed, composed
from relrep_exp.config.load import folder_of, load_experiment, of_profile, profiles_of
from relrep_exp.config.schema import Config, ExperimentConfig
from relrep_exp.errors import Problem, UserError, user_error
from relrep_exp.store.files import CONF

T = TypeVar("T")


@dataclass(frozen=True)
class Formed:
    """A command line with an experiment in one of its forms, or with none.

    Attributes:
        experiment: in the form that `profile` names.
        words: the overrides, behind those of the form.
        folder: of the experiment's files: its name, with the form's where the paper's is another.
    """

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
    """Hydra's compose API over conf/. Runs that differ in single values alone are composed once."""

    def __enter__(self) -> Self:
        self._outside = Singleton.get_state()  # Hydra itself may be running, as it is around a sweeper
        GlobalHydra.instance().clear()
        self._hydra = initialize_config_dir(str(CONF), version_base="1.3")
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
        chosen, _ = self._chosen(words.first_values(self.profiled(choices).words))
        known = [*self._loader.list_groups(""), *chosen.keys]
        for number, override in enumerate(given):
            if number not in problems:
                problems[number] = words.key_problems(override, known)
        good = [override for number, override in enumerate(given) if not problems[number]]
        return [problem for number in sorted(problems) for problem in problems[number]], good

    def experiments(self, given: Sequence[Override]) -> dict[str, list[Override]]:
        """The words of each experiment that is asked for, by its name; "" where there is none.

        A collection, as experiment=all, stands for those of its experiments that have the form asked for.
        """
        self._let_glob(given)
        chosen = next((override for override in given if override.key_or_group == "experiment"), None)
        options = self._loader.get_group_options("experiment", ObjectType.CONFIG)
        if chosen is None or words.choice_problems(chosen, options):
            return {"": list(given)}  # a name that there is not is told together with all else
        profile = [word for word in words.first_values(given) if word.startswith("profile=")]
        names = [word.split("=", 1)[1] for word in words.each_value(chosen)]
        members = dict.fromkeys(member for name in names for member in self._members(name, profile))
        return {
            name: [
                word for o in given for word in (words.parse([f"experiment={name}"]) if o is chosen else [o])
            ]
            for name in members
        }

    def _members(self, name: str, profile: Sequence[str]) -> Iterator[str]:
        """The experiment itself, or those of a collection that have the form."""
        whole = self.compose([f"experiment={name}", *profile])
        if (collection := whole.get("experiments")) is None:
            yield name
            return
        for member in collection:
            whole = self.compose([f"experiment={member}", *profile])
            experiment = load_experiment(whole.experiment)
            assert experiment is not None, "a collection names experiments"
            if str(whole.profile) in profiles_of(experiment):
                yield member

    def profiled(self, given: Sequence[Override]) -> Formed:
        """The experiment in the form that `profile` names, and the overrides behind those of the profile.

        Raises:
            UserError: there is no such form of it.
        """
        # Only what says the form: the rest of the words may need what the form sets, as a key of its zoo.
        self._let_glob(given)
        if several := [str(o.input_line) for o in given if _forms(o) and o.is_sweep_override()]:
            raise user_error(f"several experiments or profiles in {' '.join(several)}", "name one of them")
        forming = [override for override in given if self._is_choice(override) or _forms(override)]
        whole = self.compose(words.first_values(forming))
        experiment = load_experiment(OmegaConf.select(whole, "experiment"))
        if experiment is None:
            return Formed(None, list(given))
        named = {override.key_or_group for override in given}
        formed, profile = of_profile(experiment, str(whole.profile))
        ours = [o for o in words.parse(profile) if o.key_or_group not in named]
        return Formed(formed, [*ours, *given], folder_of(experiment, str(whole.profile)))

    def runs(
        self, given: Sequence[Override], sweep: bool, check: Callable[[ExperimentConfig, set[str]], None]
    ) -> tuple[Formed, list[tuple[words.Arm, Config]]]:
        """The form, and its arms with their typed configurations; a problem that many share is told once.

        Args:
            given: the command line.
            sweep: whether several values are meant to be swept over.
            check: refuses an experiment, given all keys that any of its runs has.

        Raises:
            UserError: some of them do not fit.
        """
        formed = self.profiled(given)
        self.compose(words.first_values(formed.words))  # all together: one may take away what another sets
        swept = [str(o.input_line) for o in formed.words if o.is_sweep_override()]
        if swept and formed.experiment is None and not sweep:
            raise user_error(f"several values in {' '.join(swept)}", "add -m to run them all")
        keys = self._keys_of_methods(formed)
        if formed.experiment is not None:
            check(formed.experiment, set().union(*keys.values()))
        runs: list[tuple[words.Arm, Config]] = []
        problems: dict[str, Problem] = {}
        for arm in words.expand(formed.words, formed.experiment, keys):
            try:
                runs.append((arm, self.typed(arm.overrides)))
            except UserError as error:
                problems |= {str(problem): problem for problem in error.problems}
        if problems:
            raise UserError(problems.values())
        return formed, runs

    def _keys_of_methods(self, formed: Formed) -> dict[str, set[str]]:
        """The keys that the runs of each method have, which follow from the files that it chooses."""
        if formed.experiment is None:
            return {}
        chosen = words.first_values(o for o in formed.words if self._is_choice(o) or _forms(o))
        methods = formed.experiment.methods.items()
        return {name: set(self._chosen([*chosen, *own])[0].keys) for name, own in methods}

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration that these overrides make."""
        chosen, plain = self._chosen(overrides)
        return chosen.with_values(plain)

    def typed(self, overrides: Sequence[str]) -> Config:
        """The same as typed objects; an experiment, long and the same for all its runs, is read once.

        Raises:
            UserError: values that do not fit.
        """
        chosen, plain = self._chosen(overrides)
        return chosen.typed(plain)

    def _chosen(self, overrides: Sequence[str]) -> tuple[Composed, list[Override]]:
        """What Hydra composes, and the numbers to be set in it afterwards."""
        parsed = words.parse(overrides)
        plain = [override for override in parsed if words.is_plain(override)]
        choices = tuple(str(o.input_line) for o in parsed if o not in plain)
        return composed(choices), plain

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
