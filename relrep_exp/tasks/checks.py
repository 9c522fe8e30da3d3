"""What embeddings do not allow, seen before any work: every problem at once, each encoder by name."""

from __future__ import annotations

import torch

from relrep_exp.config.schema import (
    AbsoluteConfig,
    Config,
    ConsensusConfig,
    HeadConfig,
    PairwiseConfig,
    PickedAnchors,
    RelativeConfig,
)
from relrep_exp.config.views import encoder_problems
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.errors import Problem, UserError


def require(config: Config, embeddings: Embeddings) -> None:
    """Refuse embeddings that the request cannot be served with.

    Raises:
        UserError: every problem, with its remedy.
    """
    task, aligner, anchors = config.task, config.aligner, config.anchors
    problems, paired = _not_finite(embeddings), embeddings.paired_count
    if not problems and not isinstance(aligner, AbsoluteConfig):
        problems = _cannot_be_estimated(config, embeddings)
    if isinstance(aligner, RelativeConfig | PairwiseConfig) and isinstance(anchors, PickedAnchors):
        support = min(paired, aligner.support)
        if anchors.m != "all" and anchors.m > support:
            what = f"anchors.m={anchors.m}: {anchors.name} picks from {support} support samples"
            other = "use anchors=param" if isinstance(aligner, RelativeConfig) else "anchors.m=all"
            problems.append(Problem(what, f"set anchors.m={support} or less, or {other}"))
    if isinstance(aligner, ConsensusConfig):
        problems += _consensus_problems(config, aligner, embeddings)
    problems += _label_problems(config, embeddings)
    if task.aligned:
        problems = [*encoder_problems(embeddings.names, task), *problems]
    if problems:
        raise UserError(problems)


def _not_finite(embeddings: Embeddings) -> list[Problem]:
    """Encoders whose embeddings hold NaN or infinite values."""
    corpora = {**embeddings.tasks, **embeddings.paired}
    return [
        Problem(f"{name}: its embeddings hold NaN or infinite values", "mend them, or leave it out")
        for name, corpus in corpora.items()
        if not bool(torch.isfinite(corpus.x).all())
    ]


def _cannot_be_estimated(config: Config, embeddings: Embeddings) -> list[Problem]:
    """Encoders that give every sample the same embedding, and too few samples for a map."""
    problems = []
    for name, corpus in embeddings.paired.items():
        x = corpus.x[corpus.is_train]
        if len(x) > 1 and bool((x == x[0]).all()):
            what = f"{name}: the embeddings of all training samples are equal, so nothing can be estimated"
            problems.append(Problem(what, "leave this encoder out"))
    count = embeddings.paired_count
    if isinstance(config.aligner, PairwiseConfig) and count < 2:
        what = f"aligner={config.aligner.name} needs at least two parallel samples, and there are {count}"
        problems.append(Problem(what, "give more training samples that are paired"))
    return problems


def _consensus_problems(config: Config, aligner: ConsensusConfig, embeddings: Embeddings) -> list[Problem]:
    """Too few parallel samples, or more dimensions than the training encoders can have in them."""
    paired = {name: corpus.x[corpus.is_train] for name, corpus in embeddings.paired.items()}
    support = min(aligner.support, *map(len, paired.values()))
    if support < 4:
        what = f"a consensus needs at least 4 parallel samples, and there are {support}"
        return [Problem(what, "give more training samples that are paired")]
    live = {name: int((x != x[0]).any(0).sum()) for name, x in paired.items()}  # dead units give no dimension
    tested = config.task.test_encoders or list(paired)
    dims = [sum(d for name, d in live.items() if name != test) for test in tested]
    most = min(support - 1, *dims)
    if aligner.m == "auto" or aligner.m <= most:
        return []
    what = (
        f"aligner.m={aligner.m}: these encoders have at most {most} dimensions in {support} parallel samples"
    )
    return [Problem(what, f"set aligner.m={most} or less, or aligner.m=auto")]


def _label_problems(config: Config, embeddings: Embeddings) -> list[Problem]:
    """Labels that decoders cannot be trained on, and batches that a head cannot standardise over."""
    problems: list[Problem] = []
    if not config.task.labelled:
        return problems
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
