"""From a zoo's configuration to its encoders before they are loaded: which file knows which kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema import (
    AutoencoderZoo,
    Config,
    DistortedZoo,
    LocalBertZoo,
    LocalLmZoo,
    LocalZoo,
    LsaZoo,
    PlainZoo,
    TimmZoo,
    TransformersZoo,
    parts,
)
from relrep_exp.encoders.present import present
from relrep_exp.errors import every

if TYPE_CHECKING:
    from relrep_exp.encoders.encoder import EncoderSource
    from relrep_exp.training.device import Training


def sources(config: Config, training: Training | None = None) -> Mapping[str, EncoderSource]:
    """The zoo's encoders before they are loaded, in its order.

    Raises:
        UserError: files are missing; every problem.
    """
    names = present(config)
    zoos = parts(config.zoo)
    groups = every({number: partial(_of_one_kind, zoo, config, training) for number, zoo in enumerate(zoos)})
    found = {name: source for group in groups.values() for name, source in group.items()}
    return {name: found[name] for name in names}


def described(source: EncoderSource, samples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What determines the embeddings of one encoder: its own identity and that of the view that it reads."""
    return {"encoder": source.identity(), "samples": samples[source.view]}


def _of_one_kind(zoo: PlainZoo, config: Config, training: Training | None) -> Mapping[str, EncoderSource]:
    data, offline, outputs = config.data, config.runtime.offline, Path(config.paths.outputs)
    if isinstance(zoo, LocalZoo):
        from relrep_exp.encoders.local import local_images

        return local_images.sources(zoo, data, outputs, offline, training)
    if isinstance(zoo, AutoencoderZoo):
        from relrep_exp.encoders.local import autoencoder_zoo

        return autoencoder_zoo.sources(zoo, data, outputs, offline, training)
    if isinstance(zoo, LocalLmZoo):
        from relrep_exp.encoders.local import local_lm

        return local_lm.sources(zoo, data, outputs, training)
    if isinstance(zoo, LocalBertZoo):
        from relrep_exp.encoders.local import local_bert

        return local_bert.sources(zoo, data, outputs, training, offline)
    if isinstance(zoo, LsaZoo):
        from relrep_exp.encoders import lsa

        return lsa.sources(zoo, data, offline)
    if isinstance(zoo, DistortedZoo):
        from relrep_exp.encoders import distorted

        return distorted.sources(zoo, data)
    return _pretrained(zoo, config)


def _pretrained(zoo: PlainZoo, config: Config) -> Mapping[str, EncoderSource]:
    from relrep_exp.encoders import text, vision

    if isinstance(zoo, TimmZoo):
        return vision.sources(zoo, config.runtime)
    assert isinstance(zoo, TransformersZoo), "precomputed embeddings have no encoders to load"
    return text.sources(zoo, config.runtime)
