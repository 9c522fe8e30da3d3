"""The encoders of a zoo before they are loaded: which function knows which kind, and where weights are.

Nothing heavy is imported here: a source names the function that loads it, in a file with torch and the like.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from relrep_exp.config.schema import (
    ZOOS,
    Config,
    MixedZoo,
    PlainZoo,
    PrecomputedZoo,
    RuntimeConfig,
    TimmEncoderConfig,
    TimmZoo,
    TransformersEncoderConfig,
    TransformersZoo,
)
from relrep_exp.config.schema.types import Registry, resolve
from relrep_exp.config.schema.zoo import Dtype
from relrep_exp.config.views import views
from relrep_exp.data import hub
from relrep_exp.data.hub.repo import Repo
from relrep_exp.data.hub.select import WEIGHTS
from relrep_exp.data.sources import Dataset
from relrep_exp.errors import Problem, UserError, every, user_error
from relrep_exp.store.inputs import expanded, reading

if TYPE_CHECKING:
    from relrep_exp.encoders.encoder import Encoder
    from relrep_exp.training.device import Training

Pretrained = TimmEncoderConfig | TransformersEncoderConfig
TIMM_FILES = ("config.json", *WEIGHTS)

# Kind of a zoo -> (its settings, data of the task, configuration) -> the sources of its encoders by name
ENCODERS = Registry(
    ZOOS,
    {
        "timm": "relrep_exp.encoders.vision:sources",
        "transformers": "relrep_exp.encoders.text:sources",
        "lsa": "relrep_exp.encoders.made:sources",
        "distorted": "relrep_exp.encoders.made:sources",
        "local": "relrep_exp.encoders.made:sources",
        "autoencoder": "relrep_exp.encoders.made:sources",
        "local_bert": "relrep_exp.encoders.made:sources",
        "local_lm": "relrep_exp.encoders.made:sources",
    },
)
zoo_kind = ENCODERS.register


class EncoderSource(ABC):
    """An encoder of a zoo before it is loaded.

    Attributes:
        loader: "module:function", or a function, that loads it: (source, training) -> `Encoder`.
    """

    loader: ClassVar[str | Callable[..., Any]]

    @property
    @abstractmethod
    def view(self) -> str:
        """The view of the data that it reads."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything that determines its embeddings but the samples; JSON; needs nothing heavy imported.

        What takes time, such as the digests of files, is worked out once for each source.
        """

    def load(self, training: Training) -> Encoder:
        """Load the encoder, on the CPU in evaluation mode; one without a checkpoint is trained first.

        Args:
            training: how it is trained on this machine, which changes no number.

        Raises:
            UserError: its files are missing, damaged or not what the configuration says.
        """
        encoder: Encoder = resolve(type(self).loader)(self, training)
        return encoder


@dataclass(frozen=True)
class PretrainedSource(EncoderSource):
    """An encoder with weights of the hub, or of a folder of the user's own.

    Attributes:
        key: where the configuration names it, for messages.
        config: which model, and how it is read.
        dtype: of the weights.
        runtime: whether the hub may be asked, and where images are resized.
    """

    key: str
    config: Any
    dtype: Dtype
    runtime: RuntimeConfig

    @staticmethod
    @abstractmethod
    def problems(folder: Path, key: str) -> list[Problem]:
        """Find what a folder lacks; nothing is loaded."""

    @staticmethod
    @abstractmethod
    def digest(folder: Path) -> dict[str, Any]:
        """Digest the files of a folder that determine embeddings."""

    def folder(self) -> Path:
        """Find the folder of its files, downloaded where they are missing and may be.

        Raises:
            UserError: the hub does not give them, or the folder lacks some.
        """
        repo = model_repo(self.key, self.config)
        folder = hub.snapshot(repo, self.runtime.offline) if repo else expanded(self.config.path)
        with reading(folder):
            found = self.problems(folder, self.key)
        if found:
            raise UserError(found)
        return folder

    @cached_property
    def weights(self) -> dict[str, Any]:
        """The hub's model and commit, or the digest of a folder's files.

        Raises:
            UserError: the hub's commit is not known, or the folder lacks files.
        """
        if (repo := model_repo(self.key, self.config)) is None:
            return {"files": self.digest(self.folder())}
        return {"model": self.config.model, "commit": hub.commit(repo, self.runtime.offline)}


def pretrained(
    kind: type[PretrainedSource], zoo: TimmZoo | TransformersZoo, data: Dataset, config: Config
) -> dict[str, EncoderSource]:
    """Make the sources of a pretrained zoo, by name.

    Raises:
        UserError: folders of the user's own lack files: all that is wrong with all of them.
    """
    found, lacking = dict[str, EncoderSource](), list[Problem]()
    for name, encoder in zoo.encoders.items():
        key = f"zoo.encoders.{name}"
        found[name] = kind(key, encoder, zoo.dtype, config.runtime)
        if encoder.path is not None:
            folder = expanded(encoder.path)
            with reading(folder):
                lacking += kind.problems(folder, key)
    if lacking:
        raise UserError(lacking)
    return found


def sources(config: Config, data: Dataset, names: Iterable[str]) -> dict[str, EncoderSource]:
    """Make the sources of these encoders of the zoo, in this order.

    Args:
        config: the run.
        data: the task's own samples, which some encoders are trained on.
        names: what `left` says.

    Raises:
        UserError: files are missing; every problem.
    """
    jobs = {
        number: partial(ENCODERS[zoo.kind], zoo, data, config)
        for number, zoo in enumerate(_of_one_kind(config))
    }
    found = {name: source for part in every(jobs).values() for name, source in part.items()}
    return {name: found[name] for name in names}


def unchanged(encoders: Mapping[str, EncoderSource]) -> bool:
    """Tell whether folders of the user's own still hold what the encoders' identities were made of."""
    own = [
        one for one in encoders.values() if isinstance(one, PretrainedSource) and one.config.path is not None
    ]
    return all(one.digest(one.folder()) == one.weights["files"] for one in own)


def _of_one_kind(config: Config) -> list[PlainZoo]:
    """The zoos of one kind each that the run's zoo is made of: itself, unless it is mixed."""
    return config.zoo.parts() if isinstance(config.zoo, MixedZoo) else [config.zoo]


def left(config: Config, missing: Iterable[str]) -> list[str]:
    """Name the zoo's encoders that can be had: all but those that are missing and may be.

    Raises:
        UserError: fewer than two are left.
    """
    zoo, lost = config.zoo, set(missing)
    assert not isinstance(zoo, PrecomputedZoo), "the file of precomputed embeddings says which there are"
    names = [name for name in zoo.encoders if name not in lost]
    if lost and len(names) < 2:
        what = f"zoo.skip_missing=true leaves {len(names)} of {len(zoo.encoders)} encoders"
        raise user_error(what, "get at least two of them: python scripts/prefetch.py with the same arguments")
    return names


def missing(config: Config) -> dict[str, Problem]:
    """Find the encoders that are not there and that the user allows to be dropped, each with what is wrong.

    To be asked once in a run, as the zoo must not change while it runs.
    """
    if not getattr(config.zoo, "skip_missing", False):  # only what comes from the hub can be missing
        return {}
    repos = models(config)
    found = hub.check(list(repos.values()), config.runtime.offline)
    return {name: found[repo] for name, repo in repos.items() if repo in found}


def models(config: Config) -> dict[str, Repo]:
    """Find the zoo's encoders that come from the hub, with their repositories."""
    pretrained = [part for part in _of_one_kind(config) if isinstance(part, TimmZoo | TransformersZoo)]
    found = {
        name: model_repo(f"zoo.encoders.{name}", encoder)
        for part in pretrained
        for name, encoder in part.encoders.items()
    }
    return {name: repo for name, repo in found.items() if repo is not None}


def model_repo(key: str, config: Pretrained) -> Repo | None:
    """Find an encoder's repository; None if it has a local directory instead.

    Args:
        key: the configuration's key of the encoder.
        config: the encoder. A timm name without an owner is one of timm's own repositories.
    """
    if config.path is not None:
        return None
    if isinstance(config, TransformersEncoderConfig):
        return Repo(config.model, "model", config.revision, key=key)
    name = config.model if "/" in config.model else f"timm/{config.model}"
    return Repo(name, "model", config.revision, TIMM_FILES, key)


def identity(
    config: Config, groups: Sequence[Dataset], dropped: Iterable[str]
) -> tuple[dict[str, Any], dict[str, EncoderSource]]:
    """Tell the embeddings of a run, and what they are split and labelled by, from others: part of its key.

    Args:
        config: the run; its zoo holds no precomputed embeddings.
        groups: the data, and the parallel source where there is one.
        dropped: encoders that are missing, and may be.

    Returns:
        The identity, and the encoders, not loaded.

    Raises:
        UserError: files are missing; every problem.
    """
    made: dict[str, EncoderSource] = {}

    def of_encoders() -> dict[str, Any]:
        made.update(sources(config, groups[0], left(config, dropped)))
        return every({name: source.identity for name, source in made.items()})

    jobs: dict[str, Callable[[], Any]] = {
        name: partial(samples.identity, views(config))
        for name, samples in zip(("data", "parallel"), groups, strict=False)
    }
    found = every({**jobs, "encoders": of_encoders})
    # Samples may be left out, for numbers that a run which wants all of them must not be given.
    if getattr(config.data, "on_error", "raise") == "skip":
        found["on_error"] = "skip"
    if names := sorted(dropped):  # nor one that names them those of a zoo that never had them
        found["skipped_encoders"] = names
    return found, made
