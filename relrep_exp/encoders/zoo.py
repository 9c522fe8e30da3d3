"""From a zoo's configuration to embeddings, whatever kind of zoo it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data import sources as data_sources
from relrep_exp.data.samples import IMAGE
from relrep_exp.encoders import precomputed
from relrep_exp.encoders.reads import own_pairs, views
from relrep_exp.errors import Problem
from relrep_exp.schema import (
    Config,
    LocalBertZoo,
    LocalLmZoo,
    LocalZoo,
    LsaZoo,
    PrecomputedZoo,
    TimmZoo,
    TransformersZoo,
)

if TYPE_CHECKING:
    from relrep_exp.encoders.embeddings import Embeddings
    from relrep_exp.encoders.encoder import EncoderSource
    from relrep_exp.modules.training import Training
    from relrep_exp.runtime import Runtime

IMAGE_DATA = ("digits", "images")
TEXT_DATA = ("texts", "sib200", "templates", "reviews")


def identity(config: Config) -> dict[str, Any]:
    """What determines the embeddings and what they are split and labelled by, as part of a record's key.

    Raises:
        UserError: files are missing.
    """
    if isinstance(config.zoo, PrecomputedZoo):
        return {"data": {"name": config.data.name}, "encoders": precomputed.identity(config.zoo)}
    offline, read = config.runtime.offline, views(config)
    parts: dict[str, Any] = {"data": data_sources.identity(config.data, read, offline)}
    if not own_pairs(config):
        parts["parallel"] = data_sources.identity(config.parallel, read, offline)
    encoders = sources(config)
    return {**parts, "encoders": {name: source.identity() for name, source in encoders.items()}}


def sources(config: Config, training: Training | None = None) -> dict[str, EncoderSource]:
    """The zoo's encoders before they are loaded.

    Raises:
        UserError: files are missing.
    """
    zoo, data, offline = config.zoo, config.data, config.runtime.offline
    outputs = Path(config.paths.outputs)
    if isinstance(zoo, LocalZoo):
        from relrep_exp.encoders import local

        return local.sources(zoo, data, outputs, offline, training)
    if isinstance(zoo, LocalLmZoo):
        from relrep_exp.encoders import local_lm

        return local_lm.sources(zoo, data, outputs, training)
    if isinstance(zoo, LocalBertZoo):
        from relrep_exp.encoders import local_bert

        return local_bert.sources(zoo, data, outputs, training, offline)
    if isinstance(zoo, LsaZoo):
        from relrep_exp.encoders import lsa

        return lsa.sources(zoo, data, offline)
    return _pretrained(config)


def _pretrained(config: Config) -> dict[str, EncoderSource]:
    from relrep_exp.encoders import present, text, vision

    zoo = present.without_missing(config)
    if isinstance(zoo, TimmZoo):
        return vision.sources(zoo, config.runtime)
    assert isinstance(zoo, TransformersZoo), "precomputed embeddings have no encoders to load"
    return text.sources(zoo, config.runtime)


def problems(config: Config) -> list[Problem]:
    """What does not go together, known before anything is read."""
    kind, name = config.data.kind, f"data={config.data.name}"
    zoo = config.zoo
    if isinstance(zoo, PrecomputedZoo) != (kind == "precomputed"):
        if isinstance(zoo, PrecomputedZoo):
            remedy = "zoo=precomputed brings its own labels and split: use data=precomputed"
        else:
            remedy = "these encoders need samples to read: use data=digits, say, or zoo=precomputed"
        return [Problem(f"{name} does not go with this zoo", remedy)]
    reads = IMAGE_DATA if views(config) == [IMAGE] else TEXT_DATA
    if isinstance(zoo, PrecomputedZoo) or kind in reads:
        return _unpaired(config)
    what, remedy = (
        ("images", "data=digits, mnist, cifar100 ...")
        if reads is IMAGE_DATA
        else ("texts", "data=sib200, template_reviews, templates, marc ...")
    )
    return [Problem(f"{name} does not go with this zoo, whose encoders read {what}", f"use {remedy}")]


def _unpaired(config: Config) -> list[Problem]:
    """Samples that are not parallel need a parallel source beside them, images have no use for one."""
    own = own_pairs(config)
    if config.data.kind == "texts" and own:
        what = f"data={config.data.name}: row n is another sample in every language, so nothing is paired"
        return [Problem(what, "choose a parallel source: parallel=xnli, sib200, ntrex, translated ...")]
    if config.data.kind not in TEXT_DATA and not own:
        what = f"parallel={config.parallel.name} is a source of texts, and data={config.data.name} has none"
        return [Problem(what, "use parallel=own")]
    return []


def load(config: Config, runtime: Runtime) -> Embeddings:
    """The embeddings, computed only where the store lacks them.

    Raises:
        UserError: the data or the files are not what the configuration says.
    """
    if isinstance(config.zoo, PrecomputedZoo):
        return precomputed.load(config.zoo)
    from relrep_exp.encoders import present
    from relrep_exp.encoders.embedding import Group, embed

    offline, read = config.runtime.offline, views(config)
    encoders = sources(config, runtime.training())
    own = Group.of(config.data, read, offline)
    paired = own if own_pairs(config) else Group.of(config.parallel, read, offline)
    how = runtime.extraction(getattr(config.data, "on_error", "raise"))
    notes = present.notes(config)
    return embed(encoders, own, paired, Path(config.paths.outputs), how, notes)
