"""Embeddings that no method can be estimated on, seen before any work."""

from __future__ import annotations

import torch

from relrep_exp.config.schema import AbsoluteConfig, Config, PairwiseConfig
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.errors import Problem


def embedding_problems(config: Config, embeddings: Embeddings) -> list[Problem]:
    """NaN and infinite values, encoders that give every sample the same embedding, too few samples."""
    corpora = {**embeddings.tasks, **embeddings.paired}
    problems = [_not_finite(name) for name, corpus in corpora.items() if not _finite(corpus)]
    if problems or isinstance(config.aligner, AbsoluteConfig):
        return problems
    collapsed = [_collapsed(name) for name, corpus in embeddings.paired.items() if _constant(corpus)]
    return collapsed + _few(config, embeddings.paired_count)


def _finite(corpus: Corpus) -> bool:
    return bool(torch.isfinite(corpus.x).all())


def _constant(corpus: Corpus) -> bool:
    x = corpus.x[corpus.is_train]
    return len(x) > 1 and bool((x == x[0]).all())


def _not_finite(name: str) -> Problem:
    return Problem(f"{name}: its embeddings hold NaN or infinite values", "mend them, or leave it out")


def _collapsed(name: str) -> Problem:
    what = f"{name}: the embeddings of all training samples are equal, so nothing can be estimated"
    return Problem(what, "leave this encoder out")


def _few(config: Config, count: int) -> list[Problem]:
    if not isinstance(config.aligner, PairwiseConfig) or count >= 2:
        return []
    what = f"aligner={config.aligner.name} needs at least two parallel samples, and there are {count}"
    return [Problem(what, "give more training samples that are paired")]
