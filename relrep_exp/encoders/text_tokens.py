"""From texts to right-padded token numbers, the same for every family of tokenizers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Tokens:
    """A tokenizer with fixed truncation and padding.

    It calls the tokenizers library itself: transformers' own call follows the padding side that a family
    chose (left for Llama and Gemma), refuses to pad without a pad token (GPT-2), and is slower.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, max_length: int, vocabulary: int, positions: bool):
        """Copy the tokenizer.

        Args:
            tokenizer: a fast one.
            max_length: tokens, special ones included.
            vocabulary: how many tokens the model knows.
            positions: whether a batch says each token's position.
        """
        self._backend = copy.deepcopy(tokenizer.backend_tokenizer)
        self._backend.no_padding()
        self._backend.enable_truncation(max_length)
        self._vocabulary = vocabulary
        self._positions = positions
        self._kept: dict[str, list[int]] = {}
        self._pad = self._first(tokenizer.pad_token_id, tokenizer.eos_token_id)
        self._empty = self._first(tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
        self._unknown = self._first(tokenizer.unk_token_id, self._empty)

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; at least one, at most `max_length`.

        The tokens are kept until the next call, for the batches that are made of these texts.
        """
        texts = list(texts)
        self._kept = dict(zip(texts, self._ids(texts), strict=True))
        return [len(self._kept[text]) for text in texts]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self._backend.encode_batch_fast([_well_formed(text) for text in texts])
        return [self._known(one.ids) or [self._empty] for one in encoded]

    def batch(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """int64 `input_ids`, `attention_mask` and perhaps `position_ids`, each [B, T]."""
        kept = [self._kept[text] for text in texts if text in self._kept]
        rows = [torch.tensor(ids) for ids in (kept if len(kept) == len(texts) else self._ids(texts))]
        ids = pad_sequence(rows, batch_first=True, padding_value=self._pad)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self._positions:  # GPT-2 would number padding on, beyond what it was trained on
            inputs["position_ids"] = mask.cumsum(dim=1) - 1
        return inputs

    def _known(self, ids: list[int]) -> list[int]:
        """Tokens that the model lacks become unknown: Gemma's tokenizer has one for images, Gemma 1B not."""
        if max(ids, default=0) < self._vocabulary:
            return ids
        return [token if token < self._vocabulary else self._unknown for token in ids]

    def _first(self, *candidates: int | None) -> int:
        """The first of these tokens that exists and that the model knows; 0 if none does."""
        return next((one for one in candidates if one is not None and one < self._vocabulary), 0)


def _well_formed(text: str) -> str:
    """Half a surrogate pair, as JSON's escapes can hold, is no Unicode text: it becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
