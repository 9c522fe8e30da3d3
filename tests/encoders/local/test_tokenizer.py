"""Tokenizers that are trained on the spot: reproducible across processes, and whole after a checkpoint."""

import random
import subprocess
import sys

import pytest

from relrep_exp.encoders.local.tokenizer import from_json, to_json, train_tokenizer

TEXTS = [
    "The grün-blue Mütze, das Rad; l'été déjà vu!",
    "Die Mütze ist grün und die Räder sind blau.",
    "这个背包很好。这个水壶不好！",
    "the the the blue blue sky skies",
] * 2
KINDS = ("wordpiece", "bpe")


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_texts_does_not_matter(kind):
    shuffled = random.Random(0).sample(TEXTS, len(TEXTS))
    assert to_json(train_tokenizer(TEXTS, 120, kind)) == to_json(train_tokenizer(iter(shuffled), 120, kind))


def test_another_process_learns_the_same():
    """The library's own WordPiece trainer numbers characters differently in every process."""
    script = (
        "import sys; from relrep_exp.encoders.local.tokenizer import to_json, train_tokenizer;"
        f"print([to_json(train_tokenizer({TEXTS!r}, 120, kind)) for kind in {KINDS!r}])"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.strip() == str([to_json(train_tokenizer(TEXTS, 120, kind)) for kind in KINDS])


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_survives_as_text_even_after_use(kind):
    tokenizer = train_tokenizer(TEXTS, 120, kind)
    kept = to_json(tokenizer)
    tokenizer(TEXTS[:2], padding=True, truncation=True, max_length=5)
    assert to_json(tokenizer) == kept
    again = from_json(kept)
    assert again(TEXTS[0]).input_ids == train_tokenizer(TEXTS, 120, kind)(TEXTS[0]).input_ids
    assert (again.pad_token_id, again.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert to_json(again) == kept


def test_wordpiece_is_framed_lower_case_keeps_accents_and_splits_chinese():
    tokenizer = train_tokenizer(TEXTS, 400, "wordpiece")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.convert_tokens_to_ids(special) == [0, 1, 2, 3, 4]
    assert tokenizer.tokenize("Die MÜTZE") == ["die", "mütze"]
    assert tokenizer.tokenize("这个背包") == list("这个背包")
    assert tokenizer.convert_ids_to_tokens(tokenizer("Die 漢").input_ids) == [
        "[CLS]",
        "die",
        "[UNK]",
        "[SEP]",
    ]
    assert set(tokenizer.all_special_tokens) == set(special)


def test_pieces_inside_words_are_ordinary_tokens():
    tokenizer = train_tokenizer(TEXTS, 120, "wordpiece")
    assert tokenizer("##e").input_ids != [2, tokenizer.convert_tokens_to_ids("##e"), 3]
    assert any(piece.startswith("##") for piece in tokenizer.tokenize("theskies"))


def test_bpe_knows_every_text_and_adds_nothing():
    tokenizer = train_tokenizer(TEXTS, 300, "bpe")
    assert tokenizer.convert_tokens_to_ids(["<pad>", "<eos>"]) == [0, 1]
    for text in ("A NEW text, 漢字 \U0001f600", " spaces  kept "):
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer("").input_ids == []


def test_the_vocabulary_is_bounded():
    for kind, most in (("wordpiece", 100), ("bpe", 280)):
        assert len(train_tokenizer(TEXTS, most, kind)) <= most
