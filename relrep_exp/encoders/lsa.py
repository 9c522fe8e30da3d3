"""Latent semantic analysis: TF-IDF of n-grams, projected onto the training texts' first singular vectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from relrep_exp.encoders.encoder import Encoder
from relrep_exp.errors import user_error

if TYPE_CHECKING:
    from relrep_exp.encoders.made import LsaSource
    from relrep_exp.training.device import Training


def load(source: LsaSource, training: Training) -> LsaEncoder:
    """Fit the encoder of a source.

    Raises:
        UserError: the texts are too few, or have too few n-grams, for its dimension.
    """
    texts, config, key = source.training_texts(), source.config, f"zoo.encoders.{source.name}"
    vectorizer = TfidfVectorizer(
        analyzer=config.analyzer,
        ngram_range=config.ngrams,
        max_features=config.max_features,
        sublinear_tf=True,
    )
    try:
        rows = vectorizer.fit_transform(texts)
    except ValueError:  # scikit-learn's word for a vocabulary without entries
        what = f"{key}.dim={config.dim}: the {len(texts)} training texts hold no n-gram"
        raise user_error(what, "give it more texts") from None
    most = min(rows.shape)
    if config.dim >= most:
        what = f"{key}.dim={config.dim}: there are {rows.shape[0]} training texts and {rows.shape[1]} n-grams"
        raise user_error(what, f"set {key}.dim below {most}" if most > 1 else "give it more texts")
    svd = TruncatedSVD(config.dim, random_state=config.seed).fit(rows)
    encoder = LsaEncoder(vectorizer, torch.from_numpy(np.ascontiguousarray(svd.components_.T)).float())
    encoder.eval()
    return encoder


class LsaEncoder(Encoder):
    """The TF-IDF row of a text times the components. A text without any known n-gram becomes zero.

    Args:
        vectorizer: a fitted `TfidfVectorizer`.
        components: right singular vectors of the training rows, [features, d].
    """

    def __init__(self, vectorizer: Any, components: Tensor):
        super().__init__()
        self.vectorizer = vectorizer
        self.dim = components.shape[1]
        self.components: Tensor
        self.register_buffer("components", components)

    def prepare(self, samples: Sequence[str]) -> dict[str, Tensor]:
        """Texts -> numbers of their n-grams, int64, and float32 weights: [B, most in a text], 0-padded."""
        rows = self.vectorizer.transform(samples)
        return {
            "features": _padded(rows.indices.astype(np.int64), rows.indptr),
            "weights": _padded(rows.data.astype(np.float32), rows.indptr),
        }

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Sum the n-grams' components, weighted: [B, d]."""
        features, weights = inputs["features"], inputs["weights"]
        return F.embedding_bag(features, self.components, per_sample_weights=weights, mode="sum")

    def sizes(self, samples: Sequence[str]) -> list[int]:
        """Count characters: near enough to the number of n-grams."""
        return [len(text) for text in samples]


def _padded(values: np.ndarray[Any, Any], starts: np.ndarray[Any, Any]) -> Tensor:
    """The values of each row, [B, L], L >= 1, from those of all rows and where each row starts."""
    spans = pairwise(starts.tolist())
    rows = [torch.from_numpy(values[a:b] if b > a else np.zeros(1, values.dtype)) for a, b in spans]
    return pad_sequence(rows, batch_first=True)
