"""A text encoder or a causal language model of transformers: from texts to tokens, to one embedding each."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from relrep_exp.encoders.encoder import Encoder
from relrep_exp.errors import user_error

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    Inputs = dict[str, Tensor]

Pooling = Literal["cls", "mean", "last"]
_ENDLESS = 10**9  # tokens


class TextEncoder(Encoder):
    """States of one layer, pooled over a text's tokens.

    Attributes:
        dim: d, the width of the states.
        max_length: tokens that a text is cut to: what was asked for, or less if the model takes no more.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        pooling: Pooling,
        layer: int = -1,
        max_length: int = 512,
    ):
        """Freeze the model, which stays on its device and in its dtype.

        Args:
            model: without a head, as `AutoModel` gives it.
            tokenizer: any fast one; it is copied, and what it says about padding and truncation is not used.
            pooling: cls = the first token's state; mean = the mean over all tokens, special ones included;
                last = the last token's state, in a causal model the only one that has read the whole text.
            layer: 0 = the embeddings, L or -1 = the last layer, after the final norm where there is one.
            max_length: tokens, special ones included.

        Raises:
            UserError: the model has no such layer, or one that cannot be read.
        """
        super().__init__()
        self.model = model
        self.requires_grad_(False).eval()
        self.pooling = pooling
        self.max_length = min(max_length, _model_limit(model), _tokenizer_limit(tokenizer))
        self._accepts = frozenset(inspect.signature(model.forward).parameters)
        positions = "position_ids" in self._accepts and _pad_position(model) is None
        self._tokens = Tokens(tokenizer, self.max_length, vocabulary(model), positions)
        self._tap = _tapped(model, layer)
        self.dim = self._width()

    def prepare(self, samples: Sequence[str]) -> Inputs:
        """Texts -> int64 `input_ids`, `attention_mask` and, if the model reads them, `position_ids`: [B, T].

        Padded on the right, whatever the tokenizer says. A text without any token becomes a single one,
        the first that there is of bos, eos and pad: every text has an embedding.
        """
        return self._tokens.batch(samples)

    def sizes(self, samples: Sequence[str]) -> list[int]:
        """Tokens of each text after truncation."""
        return self._tokens.sizes(samples)

    def forward(self, inputs: Inputs) -> Tensor:
        """Embed what `prepare` made: float32 [B, d]."""
        return pooled(self._states(inputs), inputs["attention_mask"], self.pooling)

    def _states(self, inputs: Inputs) -> Tensor:
        """States of the layer, [B, T, d]."""
        more: dict[str, Any] = {"use_cache": False} if "use_cache" in self._accepts else {}
        out = self.model(
            **inputs, **more, output_hidden_states=False, output_attentions=False, return_dict=True
        )
        states: Tensor = out.last_hidden_state
        return states if self._tap is None else self._tap.take()

    def _width(self) -> int:
        """d, seen on a text without words: not every architecture's configuration says it."""
        inputs = {name: x.to(self.model.device) for name, x in self.prepare([""]).items()}
        with torch.no_grad():
            return self._states(inputs).shape[-1]


def pooled(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Pool the states of right-padded texts.

    Args:
        states: [B, T, d].
        mask: 1 for a token, 0 for padding, [B, T].
        pooling: the first, the last, or the mean of all tokens.

    Returns:
        float32, [B, d].
    """
    if pooling == "cls":
        return states[:, 0].to(torch.float32, copy=True)  # a view would keep the states of all tokens
    if pooling == "last":
        return states[torch.arange(len(states), device=states.device), mask.sum(dim=1) - 1].float()
    real = states.float().masked_fill(mask[..., None] == 0, 0.0)
    return real.sum(dim=1) / mask.sum(dim=1, keepdim=True)


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


class _Tap:
    """Keeps what the block above a layer is given: the layer's states.

    transformers' own way, `output_hidden_states`, keeps every layer's, and a model that was once asked for
    them can no longer be sent to another process.
    """

    def __init__(self) -> None:
        self._states: list[Tensor] = []

    def __call__(self, block: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        self._states = [args[0] if args else kwargs["hidden_states"]]

    def take(self) -> Tensor:
        """Hand over the states of the last batch, once."""
        return self._states.pop()


def _tapped(model: PreTrainedModel, layer: int) -> _Tap | None:
    """A tap below the block that reads an inner layer; None for the last layer, which needs none.

    Raises:
        UserError: the model has no such layer, or does not keep its blocks in a list.
    """
    layers = int(getattr(model.config.get_text_config(), "num_hidden_layers", 0))
    if layer in (-1, layers):
        return None
    if not -layers - 1 <= layer <= layers:
        what = f"layer={layer}: the model has {layers} layers"
        remedy = f"choose 0 (the embeddings) to {layers} (the last), or, from the end, -1 to {-layers - 1}"
        raise user_error(what, remedy)
    lists = (module for module in model.modules() if isinstance(module, nn.ModuleList))
    blocks = next((found for found in lists if len(found) == layers), None)
    if blocks is None:
        what = f"layer={layer}: a {type(model).__name__} has inner layers that cannot be read"
        raise user_error(what, "choose the last one, -1")
    tap = _Tap()
    blocks[layer % (layers + 1)].register_forward_pre_hook(tap, with_kwargs=True)
    return tap


def _model_limit(model: PreTrainedModel) -> int:
    """Tokens that have a position; without end for relative positions."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit is None or limit <= 0:
        return _ENDLESS
    pad = _pad_position(model)
    return int(limit) if pad is None else int(limit) - pad - 1


def _tokenizer_limit(tokenizer: PreTrainedTokenizerFast) -> int:
    """Tokens that its files allow; huge where they say nothing, and 0 or less is no limit either."""
    limit = tokenizer.model_max_length
    return int(limit) if 0 < limit < _ENDLESS else _ENDLESS


def _pad_position(model: PreTrainedModel) -> int | None:
    """The position of padding in RoBERTa's family, which counts from the one after it; None in others."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(module.padding_idx)
    return None


def vocabulary(model: PreTrainedModel) -> int:
    """Count the tokens that the model knows."""
    table: Any = model.get_input_embeddings()
    return int(table.weight.shape[0])
