"""What a run is called and what determines its numbers. A cached run needs only this: nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from relrep_exp.config import plugins
from relrep_exp.config.schema import Config, PairwiseConfig, ParamAnchors, RelativeConfig
from relrep_exp.encoders import zoo
from relrep_exp.store import versions
from relrep_exp.store.keys import content_key

TRAIN = "train"  # rows of an encoder's embeddings: those of the training samples
STATISTICS = "statistics"  # folder of the outputs


def method_name(config: Config) -> str:
    """The method as tables name it: the aligner with its parts, e.g. `param-wip`, `random-ortho`."""
    if isinstance(config.aligner, RelativeConfig):
        return f"{config.anchors.name}-{config.sim.name}"
    if isinstance(config.aligner, PairwiseConfig):
        return f"{config.anchors.name}-{config.aligner.name}"
    return config.aligner.name


def record_identity(config: Config) -> dict[str, Any]:
    """Everything that determines the numbers of a run, and nothing else.

    Raises:
        UserError: a file that belongs to it is missing.
    """
    return {
        "task": asdict(config.task),
        **zoo.identity(config),
        "method": _method(config),
        **({"decoder": asdict(config.decoder)} if config.task.decodes else {}),
        "seed": config.seed,
        "versions": {
            "alignment": versions.ALIGNMENT,
            "param": versions.PARAM,
            "decoders": versions.DECODERS,
            "tasks": versions.TASKS,
        },
    }


def record_key(config: Config) -> str:
    """The key of a run's record."""
    return content_key(record_identity(config))


def learned_in(config: Config) -> dict[str, str]:
    """The precision that anchors are learned in, where they are and it is not float32."""
    learned = isinstance(config.anchors, ParamAnchors) and config.runtime.precision != "float32"
    return {"precision": config.runtime.precision} if learned else {}


def param_identity(config: Config, encoders: Sequence[str]) -> dict[str, Any]:
    """What determines a PARAM fit; Multi and Single differ by the encoders alone.

    Args:
        config: a run with PARAM's anchors.
        encoders: the keys of the embeddings that it is learned on, in order.
    """
    anchors, aligner = asdict(config.anchors), asdict(config.aligner)
    del aligner["statistics"]  # of encoders that join when P is there
    m = anchors.pop("m")
    settings = {k: v for k, v in anchors.items() if k not in ("name", "learned_on")}
    several = len(encoders) > 1
    return {
        "param": settings if several else {k: v for k, v in settings.items() if k[:4] != "nce_"},
        "sim": config.sim.name if several else None,
        "plugins": plugins.digests(sim=config.sim.name),
        "aligner": aligner,
        "encoders": list(encoders),
        "m": m,
        "seed": config.seed,
        "versions": [versions.ALIGNMENT, versions.PARAM],
        **learned_in(config),
    }


def statistics_identity(encoder: str, shrinkage: float, eps: float, rows: str = TRAIN) -> dict[str, Any]:
    """What determines the statistics of an encoder.

    Args:
        encoder: the key of its embeddings.
        shrinkage: lambda of Appendix B.
        eps: additive constant of Appendix B.
        rows: `TRAIN`, or the digest of the numbers of some training samples.
    """
    parts = {"encoder": encoder, "rows": rows, "shrinkage": shrinkage, "eps": eps}
    return {**parts, "version": versions.ALIGNMENT}


def _method(config: Config) -> dict[str, Any]:
    """The aligner and, where they play a part, anchors and similarity with the files they come from."""
    parts: dict[str, Any] = {"name": method_name(config), "aligner": asdict(config.aligner)}
    if isinstance(config.aligner, RelativeConfig):
        parts |= {"anchors": asdict(config.anchors), "sim": asdict(config.sim)}
        parts["plugins"] = plugins.digests(anchors=config.anchors.name, sim=config.sim.name)
        parts |= learned_in(config)
    if isinstance(config.aligner, PairwiseConfig):
        parts |= {"anchors": asdict(config.anchors), "plugins": plugins.digests(anchors=config.anchors.name)}
    return parts
