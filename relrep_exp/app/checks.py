"""What can be known to be wrong before any work starts; all of it told at once."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

from relrep_exp.app import launchers, needs
from relrep_exp.config import misfits as misfits_of
from relrep_exp.config import plugins
from relrep_exp.config.load import conf_dir
from relrep_exp.config.schema import (
    AbsoluteConfig,
    Config,
    ConsensusConfig,
    ConvConfig,
    InverseRelativeConfig,
    PairwiseConfig,
    ParamAnchors,
)
from relrep_exp.config.views import IMAGE, views
from relrep_exp.encoders.asked import Asked
from relrep_exp.encoders.zoo import missing, models
from relrep_exp.errors import Problem, UserError, nearest
from relrep_exp.store.files import require_writable
from relrep_exp.store.records import RecordStore
from relrep_exp.tasks.identity import record_key

PACKAGES = {"wandb": "wandb", "tensorboard": "tensorboard"}


def require(config: Config, launcher: str = "basic") -> None:
    """Check a run against this machine.

    Args:
        config: the run.
        launcher: what is to start it.

    Raises:
        UserError: every problem found.
    """
    problems = [
        *launchers.problems(launcher),
        *_samples(config),
        *_method(config),
        *_decoder(config),
        *_logger(config),
        *_device(config),
    ]
    if problems:
        raise UserError(problems)


def misfits(config: Config) -> list[Problem]:
    """What does not go together, whatever there is on this machine."""
    return [*misfits_of.of_samples(config), *_method(config), *_decoder(config)]


def settled(config: Config) -> bool:
    """Whether the run only reads: its record is there and may stand, or nothing else is allowed.

    Raises:
        UserError: a file that belongs to the run is missing.
    """
    if config.overwrite != "missing":
        return config.overwrite == "never"
    return RecordStore(Path(config.paths.outputs) / "records").find(record_key(config)) is not None


def _samples(config: Config) -> list[Problem]:
    """Data and encoders, which matter only to a run that has no record yet; nothing of them is loaded.

    Whether there is one is asked without the network, so that a finished run needs none.
    """
    if problems := misfits_of.of_samples(config):
        return problems
    try:
        if settled(offline(config)):
            return []
    except UserError:
        pass  # told below, together with all else that is missing
    if problems := _missing(config):
        return list(dict.fromkeys([*problems, *Asked(config).own_problems()]))
    try:
        return [] if settled(config) else require_writable(Path(config.paths.outputs))
    except UserError as error:
        return error.problems


def offline(config: Config) -> Config:
    """The same run, kept from the network."""
    return replace(config, runtime=replace(config.runtime, offline=True))


def _missing(config: Config) -> list[Problem]:
    """What is not here of all that the run needs from the hub, and cannot be had."""
    wanted = needs.repos(config)
    if not wanted:
        return []
    from relrep_exp.data import hub

    dropped = {models(config)[name] for name in missing(config)}
    found = hub.check([repo for repo in wanted if repo not in dropped], config.runtime.offline)
    return list(dict.fromkeys(found.values()))


def _method(config: Config) -> list[Problem]:
    """Names that no file under conf/ and no plugin stands for, and methods that the task cannot use."""
    if isinstance(config.aligner, AbsoluteConfig):
        return _absolute(config)
    if isinstance(config.aligner, ConsensusConfig):
        return []
    if isinstance(config.aligner, PairwiseConfig):
        return _unknown("anchors", config.anchors.name) or _mixed_anchors(config)
    return [*_unknown("anchors", config.anchors.name), *_unknown("sim", config.sim.name)]


def _unknown(group: str, name: str) -> list[Problem]:
    known = [path.stem for path in (conf_dir() / group).glob("*.yaml")] + plugins.names(group)
    if name in known:
        return []
    return [Problem(f"{group}.name={name}: there is no such choice", nearest(name, known))]


def _mixed_anchors(config: Config) -> list[Problem]:
    """Translations are estimated on parallel samples; learned mixtures of them have no use there."""
    problems = []
    if isinstance(config.anchors, ParamAnchors):
        name = config.anchors.name
        what = f"aligner={config.aligner.name} reads parallel anchors, and anchors={name} learns mixtures"
        problems.append(Problem(what, "use anchors=random, fps or kmeans"))
    if config.anchors.m == 1:
        what = f"anchors.m=1: aligner={config.aligner.name} needs at least two anchors"
        problems.append(Problem(what, "set anchors.m=2 or more; as many as dimensions, or more, is better"))
    return problems


def _absolute(config: Config) -> list[Problem]:
    """Without a common space no sample can be compared with those of another encoder."""
    if not config.task.compares:
        return []
    kind = config.task.kind
    what = f"aligner={config.aligner.name} has no space that two encoders share, which {kind} needs"
    return [Problem(what, "use aligner=relative")]


def _decoder(config: Config) -> list[Problem]:
    """A decoder that cannot do what the task asks of it, and encoders of something else than images."""
    if config.task.kind == "invertibility" and not isinstance(config.aligner, InverseRelativeConfig):
        what = f"task={config.task.name} inverts cosines, which aligner={config.aligner.name} does not"
        return [Problem(what, "use aligner=inverse_relative")]
    name, draws = config.decoder.name, isinstance(config.decoder, ConvConfig)
    if config.task.kind == "stitching" and draws:
        return [
            Problem(f"decoder={name} draws images, and task={config.task.name} classifies", "use decoder=mlp")
        ]
    if config.task.kind != "reconstruction":
        return []
    problems = []
    if not draws:
        what = f"decoder={name} classifies, and task={config.task.name} draws images"
        problems.append(Problem(what, "use decoder=conv"))
    if views(config) != [IMAGE]:
        what = f"task={config.task.name} draws images, and these encoders read none"
        problems.append(Problem(what, "use zoo=autoencoders with data=digits, mnist, fashion_mnist ..."))
    return problems


def _logger(config: Config) -> list[Problem]:
    package = PACKAGES.get(config.logger.name)
    if package is None or importlib.util.find_spec(package) is not None:
        return []
    return [
        Problem(
            f"logger={config.logger.name}: {package} is not installed",
            f"pip install {package}, or logger=csv",
        )
    ]


def _device(config: Config) -> list[Problem]:
    asked = config.runtime
    if asked.precision == "tf32" and not (asked.device != "cpu" and _gpus()):
        return [Problem("runtime.precision=tf32: only a GPU has it", "use runtime.precision=float32 or bf16")]
    if asked.device == "cpu" or (asked.device == "auto" and asked.devices in (1, "all")):
        return []
    gpus = _gpus()
    if asked.device == "cuda" and not gpus:
        return [Problem("runtime.device=cuda: torch sees no GPU here", "use runtime.device=auto or cpu")]
    if asked.devices != "all" and 0 < gpus < asked.devices:  # on the CPU there may be any number of processes
        what = f"runtime.devices={asked.devices}: torch sees {gpus} here"
        return [Problem(what, f"use runtime.devices={gpus}, or runtime.device=cpu")]
    return []


def _gpus() -> int:
    """How many torch sees."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
