"""Refuse what embeddings do not allow, before any work: every problem at once, each encoder by name."""

from __future__ import annotations

import torch

from relrep_exp.config.schema import (
    Config,
    ConsensusConfig,
    HeadConfig,
    PickedAnchors,
    PrecomputedZoo,
    RidgeCcaConfig,
)
from relrep_exp.config.views import encoder_problems
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.errors import Problem, UserError


def require(config: Config, embeddings: Embeddings) -> None:
    """Refuse embeddings that the request cannot be served with.

    Raises:
        UserError: every problem, with its remedy.
    """
    aligner, anchors, paired = config.aligner, config.anchors, embeddings.paired_count
    problems = _not_finite(embeddings)
    support, least = min(paired, getattr(aligner, "support", paired)), aligner.least_parallel
    if not problems and least:
        problems = _equal(embeddings)
        if support < least:
            what = f"aligner={aligner.name} needs at least {least} parallel samples, and there are {support}"
            problems.append(Problem(what, "give more training samples that are paired"))
    picked = "anchors" in aligner.uses and isinstance(anchors, PickedAnchors)
    if picked and anchors.m != "all" and anchors.m > support:
        what = f"anchors.m={anchors.m}: {anchors.name} picks from {support} support samples"
        other = "use anchors=param" if "sim" in aligner.uses else "anchors.m=all"
        problems.append(Problem(what, f"set anchors.m={support} or less, or {other}"))
    if isinstance(aligner, ConsensusConfig | RidgeCcaConfig) and aligner.m != "auto" and support >= least:
        problems += _too_many_dimensions(config, aligner.m, support, embeddings)
    problems += _label_problems(config, embeddings)
    if config.task.aligned:
        problems = [*encoder_problems(embeddings.names, config.task), *problems]
    if problems:
        raise UserError(problems)


def _not_finite(embeddings: Embeddings) -> list[Problem]:
    """Find encoders whose embeddings hold NaN or infinite values."""
    corpora = {**embeddings.tasks, **embeddings.paired}
    return [
        Problem(f"{name}: its embeddings hold NaN or infinite values", "mend them, or leave it out")
        for name, corpus in corpora.items()
        if not bool(torch.isfinite(corpus.x).all())
    ]


def _equal(embeddings: Embeddings) -> list[Problem]:
    """Find encoders that give every sample the same embedding."""
    problems = []
    for name, corpus in embeddings.paired.items():
        x = corpus.x[corpus.is_train]
        if len(x) > 1 and bool((x == x[0]).all()):
            what = f"{name}: the embeddings of all training samples are equal, so nothing can be estimated"
            problems.append(Problem(what, "leave this encoder out"))
    return problems


def _too_many_dimensions(config: Config, m: int, support: int, embeddings: Embeddings) -> list[Problem]:
    """Find a shared space of more dimensions than the training encoders have in their parallel samples."""
    paired = {name: corpus.x[corpus.is_train] for name, corpus in embeddings.paired.items()}
    live = {name: int((x != x[0]).any(0).sum()) for name, x in paired.items()}  # dead units give no dimension
    tested = config.task.test_encoders or list(paired)
    most = min(support - 1, *(sum(d for name, d in live.items() if name != test) for test in tested))
    if m <= most:
        return []
    what = f"aligner.m={m}: these encoders have at most {most} dimensions in {support} parallel samples"
    return [Problem(what, f"set aligner.m={most} or less, or aligner.m=auto")]


def _label_problems(config: Config, embeddings: Embeddings) -> list[Problem]:
    """Find labels that decoders cannot be trained on, and batches that a head cannot standardise over."""
    problems: list[Problem] = []
    unlabelled = all(corpus.labels is None for corpus in embeddings.tasks.values())
    if not config.task.labelled or (unlabelled and isinstance(config.zoo, PrecomputedZoo)):
        return problems  # embeddings of one's own need no labels: retrieval metrics are measured alone
    for name, corpus in embeddings.tasks.items():
        if corpus.labels is None:
            remedy = "give data with labels, or task=slm_retrieval, which needs none"
            return [Problem("these samples have no labels to train a decoder on", remedy)]
        if len(corpus.labels[corpus.is_train].unique()) < 2:
            what = f"{name}: all training labels are the same"
            problems.append(Problem(what, "give samples of two classes"))
        train, decoder = int(corpus.is_train.sum()), config.decoder
        if isinstance(decoder, HeadConfig) and decoder.name == "mlp_paper" and train % decoder.batch == 1:
            what = f"{train} training samples leave a last batch of one, which decoder=mlp_paper cannot"
            problems.append(Problem(f"{what} standardise", f"set decoder.batch={decoder.batch + 1}"))
    return list(dict.fromkeys(problems))
