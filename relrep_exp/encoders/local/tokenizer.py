"""Tokenizers of the encoders that are trained on the spot: trained with them and kept with their weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

Kind = Literal["wordpiece", "bpe"]

# Their names in transformers and their texts; the ids are 0, 1, ... in this order.
_SPECIAL = {
    "wordpiece": {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
    "bpe": {"pad_token": "<pad>", "eos_token": "<eos>"},
}


def train_tokenizer(texts: Iterable[str], vocabulary: int, kind: Kind) -> PreTrainedTokenizerFast:
    """Train a tokenizer whose vocabulary comes from these texts alone.

    `wordpiece` is BERT's: lower case, every Chinese character a word of its own, `[CLS] text [SEP]`. `bpe`
    is GPT-2's, over bytes, so nothing is unknown to it; it adds no token around a text.

    Args:
        texts: training texts; the order does not matter.
        vocabulary: at most this many tokens, special ones included; more if the single characters need it.
        kind: which of the two.
    """
    # Ties are broken by the order in which words are first seen, so the order of the texts is fixed.
    ordered = sorted(texts)
    tokenizer = _wordpiece(ordered, vocabulary) if kind == "wordpiece" else _bpe(ordered, vocabulary)
    return _wrapped(tokenizer)


def to_json(tokenizer: PreTrainedTokenizerFast) -> str:
    """Write the tokenizer as text, for a checkpoint, without the padding and truncation of its last use."""
    plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    return str(plain.to_str())


def from_json(text: str) -> PreTrainedTokenizerFast:
    """Read the tokenizer of `to_json`."""
    return _wrapped(Tokenizer.from_str(text))


def _wordpiece(texts: list[str], vocabulary: int) -> Tokenizer:
    # The library numbers the characters inside words as they come out of a hash table, differently in every
    # run, and breaks ties by number. So it learns the pieces with these characters given, in order.
    special = list(_SPECIAL["wordpiece"].values())
    learner = _splitter(models.WordPiece(unk_token="[UNK]"))
    inner: set[str] = set()
    for text in texts:
        normal = learner.normalizer.normalize_str(text)
        for word, _ in learner.pre_tokenizer.pre_tokenize_str(normal):
            inner.update(word[1:])
    pieces = [f"##{character}" for character in sorted(inner)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=special + pieces, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    tokenizer = _splitter(models.WordPiece(learner.get_vocab(), unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    frame = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=frame
    )
    return tokenizer


def _splitter(model: Any) -> Tokenizer:
    """BERT's way to words; lower case, and accents kept, which tell words apart in de, es and fr."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _bpe(texts: list[str], vocabulary: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(_SPECIAL["bpe"].values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """As transformers' models take it; padding goes to the right."""
    kind = "wordpiece" if tokenizer.token_to_id("[CLS]") is not None else "bpe"
    settings: Any = {"padding_side": "right", "truncation_side": "right", **_SPECIAL[kind]}
    make: Any = PreTrainedTokenizerFast
    wrapped: PreTrainedTokenizerFast = make(tokenizer_object=tokenizer, **settings)
    return wrapped
