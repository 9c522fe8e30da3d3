"""Name a run and what determines its numbers. A cached run needs only this: nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from relrep_exp.config.plugins import SOURCES
from relrep_exp.config.schema import GROUPS, Config, ParamAnchors
from relrep_exp.store import versions

TRAIN = "train"  # rows of an encoder's embeddings: those of the training samples
STATISTICS = "statistics"  # folder of the outputs

# Groups whose kinds a user's file may add beside anchors and similarities, which are the method's own
_OWN = [(group, kinds) for group, kinds in GROUPS.items() if group != "anchors"]


def method_name(config: Config) -> str:
    """Name the method as tables do: the aligner with its parts, e.g. `param-wip`, `random-ortho`."""
    if "sim" in config.aligner.uses:
        return f"{config.anchors.name}-{config.sim.name}"
    return "-".join([*(getattr(config, group).name for group in config.aligner.uses), config.aligner.name])


def record_identity(config: Config, embeddings: Mapping[str, Any]) -> dict[str, Any]:
    """List all that determines the numbers of a run, and nothing else.

    Args:
        config: the run.
        embeddings: what determines them and their labels and split, by group of the configuration.
    """
    used = {group: getattr(config, group) for group in config.aligner.uses}
    method: dict[str, Any] = {"name": method_name(config), "aligner": asdict(config.aligner)}
    if "sim" in used:  # of what uses anchors alone, none learns them
        method |= learned_in(config)
    if used:  # an aligner that uses none has no such key
        method |= {group: asdict(choice) for group, choice in used.items()}
        method["plugins"] = _plugins(**{group: choice.name for group, choice in used.items()})
    own = _plugins(**{group: str(kinds.kind_of(getattr(config, group))) for group, kinds in _OWN})
    return {
        "task": asdict(config.task),
        **embeddings,
        "method": method,
        **({"decoder": asdict(config.decoder)} if config.task.decodes else {}),
        **({"plugins": own} if own else {}),
        "seed": config.seed,
        "versions": {
            "alignment": versions.ALIGNMENT,
            "param": versions.PARAM,
            "decoders": versions.DECODERS,
            "tasks": versions.TASKS,
        },
    }


def learned_in(config: Config) -> dict[str, str]:
    """Name the precision that anchors are learned in, where they are and it is not float32."""
    learned = isinstance(config.anchors, ParamAnchors) and config.runtime.precision != "float32"
    return {"precision": config.runtime.precision} if learned else {}


def _plugins(**choices: str) -> dict[str, str]:
    """Digest the user's file behind each choice that comes from one, by group."""
    return {group: SOURCES[group, name] for group, name in choices.items() if (group, name) in SOURCES}


def param_identity(config: Config, encoders: Mapping[str, float], own: Sequence[str]) -> dict[str, Any]:
    """List what determines a PARAM fit; Multi and Single differ by the encoders alone.

    Args:
        config: a run with PARAM's anchors.
        encoders: the keys of the embeddings that it is learned on, in order, each with the shrinkage of its
            statistics.
        own: the keys of those that mean and covariance are of: the same, or of the task's own samples.
    """
    anchors, aligner = asdict(config.anchors), asdict(config.aligner)
    del aligner["statistics"], aligner["standardise"]  # of what is there when P is
    shrinkage = set(encoders.values())
    aligner["shrinkage"] = shrinkage.pop() if len(shrinkage) == 1 else list(encoders.values())
    m = anchors.pop("m")
    settings = {k: v for k, v in anchors.items() if k not in ("name", "learned_on")}
    several = len(encoders) > 1
    return {
        "param": {k: v for k, v in settings.items() if several or (k[:4] != "nce_" and k != "pairs")},
        "sim": config.sim.name if several else None,
        "plugins": _plugins(sim=config.sim.name),
        "aligner": aligner,
        "encoders": list(encoders),
        **({"statistics": list(own)} if list(own) != list(encoders) else {}),
        "m": m,
        "seed": config.seed,
        "versions": [versions.ALIGNMENT, versions.PARAM],
        **learned_in(config),
    }


def statistics_identity(
    encoder: str, shrinkage: float, eps: float | str, rows: str = TRAIN
) -> dict[str, Any]:
    """List what determines the statistics of an encoder.

    Args:
        encoder: the key of its embeddings.
        shrinkage: lambda of Appendix B.
        eps: additive constant of Appendix B, or `auto`.
        rows: `TRAIN`, or the digest of the numbers of some training samples.
    """
    parts = {"encoder": encoder, "rows": rows, "shrinkage": shrinkage, "eps": eps}
    return {**parts, "version": versions.ALIGNMENT}
