"""What one configuration asks for, worked out once and handed on: key, repositories, encoders, problems."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from relrep_exp.config import plugins
from relrep_exp.config.schema import GROUPS, Config, PrecomputedZoo
from relrep_exp.config.views import of_method, of_samples, own_pairs, views
from relrep_exp.data import hub
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders import embed, precomputed, zoo
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.errors import Problem, UserError, every, user_error
from relrep_exp.store.files import require_writable
from relrep_exp.store.keys import content_key
from relrep_exp.store.records import RecordStore
from relrep_exp.tasks.identity import record_identity

LAUNCHERS = {
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "submitit_slurm": "hydra_submitit_launcher",
    "slurm": "hydra_submitit_launcher",
    "ray": "hydra_ray_launcher",
    "ray_aws": "hydra_ray_launcher",
}
_SLURM = ("sbatch", "srun")


class Request:
    """A configuration, with everything that follows from it and from what is on this machine.

    Nothing heavy is imported or loaded, and the network is asked only where it has to be. What a run asks for
    does not change while it runs: each fact is worked out once, here.

    Attributes:
        config: the run.
        unfit: what does not go together of data, parallel source and encoders.
        odd: what the method and the task cannot do with each other.
        views: what its encoders read; none for precomputed embeddings.
        own: the task's own samples.
        paired: samples that are parallel across encoders; the same object where the task's own are.
        samples: both, each once; none where their embeddings are given.
        missing: encoders that cannot be had and may be left out (`zoo.skip_missing`), with the reasons.
        names: the encoders that are left; none where only a file that is not here would tell.
        wanted: everything of the hub that the run would use, none twice.
        repos: the same, less the encoders that are left out.
        encoders: before they are loaded, in the zoo's order; there as soon as `identity` is.
        records: where its record goes.
    """

    def __init__(self, config: Config):
        self.unfit, self.odd = of_samples(config), of_method(config)
        offline, has_pairs = config.runtime.offline, own_pairs(config)
        self.config, self.views = config, views(config)
        self.missing, models = zoo.missing(config), zoo.models(config)
        self.names = [name for name in config.zoo.encoders or () if name not in self.missing]
        self.own = Dataset(config.data, offline)
        self.paired = self.own if has_pairs else Dataset(config.parallel, offline)
        self.samples = [self.own] if has_pairs else [self.own, self.paired]
        if isinstance(config.zoo, PrecomputedZoo):
            self.samples = []
        self.encoders: Mapping[str, EncoderSource] = {}
        found = [*(samples.repo(self.views) for samples in self.samples), *models.values()]
        self.wanted = [repo for repo in dict.fromkeys(found) if repo is not None]
        self.repos = [repo for repo in self.wanted if repo not in map(models.get, self.missing)]
        self.records = RecordStore(Path(config.paths.outputs) / "records")

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that determines the numbers, and nothing else.

        Raises:
            UserError: a file that belongs to it is missing.
        """
        config = self.config
        if isinstance(config.zoo, PrecomputedZoo):
            of = {"data": {"name": config.data.name}, "encoders": precomputed.identity(config.zoo)}
        else:
            of, self.encoders = zoo.identity(config, self.samples, self.missing)
        return record_identity(config, of)

    @cached_property
    def key(self) -> str:
        """The key of the record.

        Raises:
            UserError: a file that belongs to it is missing.
        """
        return content_key(self.identity)

    @cached_property
    def known_key(self) -> str | None:
        """The key; None where a file that belongs to it is missing."""
        try:
            return self.key
        except UserError:
            return None

    @property
    def settled(self) -> bool:
        """Whether the run only reads: its record is there and may stand, or nothing else is allowed.

        Raises:
            UserError: a file that belongs to it is missing.
        """
        if self.config.overwrite != "missing":
            return self.config.overwrite == "never"
        return self.records.find(self.key) is not None

    def require(self, launcher: str = "basic") -> None:
        """Check the run against this machine, before any work.

        Args:
            launcher: what is to start it.

        Raises:
            UserError: every problem found.
        """
        found = [*_launcher(launcher), *(self.unfit or self._absent()), *self.odd]
        logger = self.config.logger.name
        if logger in ("wandb", "tensorboard") and importlib.util.find_spec(logger) is None:
            remedy = f"pip install {logger}, or logger=csv"
            found.append(Problem(f"logger={logger}: {logger} is not installed", remedy))
        if found := [*found, *_device(self.config)]:
            raise UserError(found)

    def require_unchanged(self) -> None:
        """Refuse numbers of files of the user's own that are no longer those of which the key was made.

        Raises:
            UserError: a file has changed since, or cannot be read any more.
        """
        config, then = self.config, self.identity
        if isinstance(config.zoo, PrecomputedZoo):
            same = precomputed.identity(config.zoo) == then["encoders"]
        else:
            own = [samples for samples in self.samples if samples.repo(self.views) is None]
            anew = {samples: Dataset(samples.config, samples.offline) for samples in own}
            same = all(one.identity(self.views) == other.identity(self.views) for one, other in anew.items())
            same = same and zoo.unchanged(self.encoders)
        if not same:
            what = f"files of the run's changed while it read them: its key {self.key} is of what they were"
            raise user_error(what, "run it again; files that change are copied first")

    def own_problems(self) -> list[Problem]:
        """Tell what is wrong with files of the user's own; what comes from the hub is not looked at."""
        own = [samples for samples in self.samples if samples.repo(self.views) is None]
        jobs: dict[Any, Any] = {samples: partial(samples.identity, self.views) for samples in own}
        try:
            every({**jobs, "encoders": partial(zoo.sources, self.config, self.own, self.names)})
        except UserError as error:
            return error.problems
        return []

    def embedding_keys(self, samples: Dataset) -> Mapping[str, str]:
        """Name the embeddings of these samples by encoder, where none is left out; none is read.

        Raises:
            UserError: files are missing; every problem.
        """
        if isinstance(self.config.zoo, PrecomputedZoo):
            return precomputed.keys(self.config.zoo, self.config.seed)
        _ = self.identity  # makes the encoders
        return embed.keys(self.encoders, samples.identity(self.views))

    def _absent(self) -> list[Problem]:
        """Tell what is not here and cannot be had; it matters only to a run that has no record yet.

        Whether it has one is asked without the network where that can be, so that a finished run needs none.
        """
        try:
            for repo in self.repos:
                hub.commit(repo, offline=True)  # a user's error where only the network would tell
            if self.settled:
                return []
        except UserError:
            pass  # told below, together with all else that is missing
        if self.repos and (lacking := hub.check(self.repos, self.config.runtime.offline)):
            return list(dict.fromkeys([*lacking.values(), *self.own_problems()]))
        try:
            return [] if self.settled else require_writable(Path(self.config.paths.outputs))
        except UserError as error:
            return error.problems


def load_plugins(paths: Sequence[str]) -> None:
    """Import files of the user's own, which register kinds, anchor strategies or similarities.

    Raises:
        UserError: a file is missing, cannot be imported or registers nothing.
    """
    plugins.load(paths, _registered)


def _registered() -> set[tuple[str, str]]:
    """List every (group, name) that can be chosen now."""
    from relrep_exp.alignment.anchors import ANCHORS  # torch, which only those pay for who have plugins
    from relrep_exp.alignment.similarity import SIMILARITIES

    kinds = {(group, name) for group, known in GROUPS.items() for name in known}
    return kinds | {("anchors", name) for name in ANCHORS} | {("sim", name) for name in SIMILARITIES}


def _launcher(name: str) -> list[Problem]:
    """Tell what a launcher needs and is missing here; nothing for one that is not ours."""
    plugin = LAUNCHERS.get(name)
    if plugin is not None and importlib.util.find_spec(f"hydra_plugins.{plugin}") is None:
        single = plugin.replace("_", "-")
        remedy = f'pip install "relrep_exp[launchers]", or pip install {single} alone'
        return [Problem(f"hydra/launcher={name}: {single} is not installed", remedy)]
    absent = [command for command in _SLURM if name == "slurm" and shutil.which(command) is None]
    if absent:
        what = f"hydra/launcher={name}: there is no {' and no '.join(absent)} here"
        return [Problem(what, "start it on a machine of the cluster, or use hydra/launcher=submitit_local")]
    return []


def _device(config: Config) -> list[Problem]:
    """Tell what is wanted of GPUs and not here; torch is imported only if something is."""
    asked = config.runtime
    any_will_do = asked.device == "cpu" or (asked.device == "auto" and asked.devices in (1, "all"))
    if any_will_do and asked.precision != "tf32":
        return []
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked.precision == "tf32" and (asked.device == "cpu" or not gpus):
        return [Problem("runtime.precision=tf32: only a GPU has it", "use runtime.precision=float32 or bf16")]
    if asked.device == "cuda" and not gpus:
        return [Problem("runtime.device=cuda: torch sees no GPU here", "use runtime.device=auto or cpu")]
    if asked.devices != "all" and 0 < gpus < asked.devices:  # on the CPU there may be any number of processes
        what = f"runtime.devices={asked.devices}: torch sees {gpus} here"
        return [Problem(what, f"use runtime.devices={gpus}, or runtime.device=cpu")]
    return []
