"""Text encoders and language models: one embedding per text, which depends on that text alone."""

import gc
import pickle
import random

import pytest
import tiny_text
import torch
import transformers as tf
from making import HOW, encode
from tiny_text import CAUSAL, FAMILIES, TEXTS, source

from relrep_exp.encoders.embed import Extraction, extract
from relrep_exp.encoders.text_model import TextEncoder
from relrep_exp.errors import UserError
from relrep_exp.store.keys import content_key

POOLINGS = ("cls", "mean", "last")
POSITIONS = {"bert": 64, "camembert": 62, "gpt2": 64, "llama": 128, "gemma3": 128}
KINDS = {
    "bert": tf.BertModel,
    "camembert": tf.CamembertModel,
    "gpt2": tf.GPT2Model,
    "llama": tf.LlamaModel,
    "gemma3": tf.Gemma3TextModel,
}


def near(found, expected, atol=1e-5):
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_embedding_depends_on_its_text_alone(encoder_of, family, pooling):
    """Blank texts and ones far beyond what the model takes, too, whatever their neighbours."""
    encoder = encoder_of(family, pooling=pooling)
    alone = torch.cat([encode(encoder, [one]) for one in TEXTS])
    order = torch.randperm(len(TEXTS), generator=torch.Generator().manual_seed(0))
    assert alone.shape == (len(TEXTS), encoder.dim) == (len(TEXTS), 32)
    assert alone.dtype == torch.float32
    assert alone.isfinite().all()
    near(encode(encoder, TEXTS), alone)
    near(encode(encoder, [TEXTS[i] for i in order]), alone[order])
    read = encoder.sizes(TEXTS)
    assert read == encoder.prepare(TEXTS)["attention_mask"].sum(dim=1).tolist()
    assert min(read) >= 1 and max(read) == POSITIONS[family]
    apart = torch.pdist(alone[[i for i in range(len(TEXTS)) if read[i] > 3]])
    assert apart.min() > 0.1 or (pooling == "cls" and family in CAUSAL)  # which reads one token alone


@pytest.mark.parametrize("family", FAMILIES)
def test_each_layer_and_pooling_is_that_of_the_model_run_on_the_text_alone(checkpoints, encoder_of, family):
    """0 = the embeddings, L or -1 = the last after its norm; the model by its own class, in float64."""
    folder = checkpoints / family
    model = KINDS[family].from_pretrained(folder, dtype=torch.float64).eval()
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    loaded = source(folder).load(HOW).model
    for text in (TEXTS[0], *TEXTS[4:7]):
        with torch.no_grad():
            out = model(tokenizer(text, return_tensors="pt")["input_ids"], output_hidden_states=True)
        last = out.last_hidden_state[0]
        near(last, out.hidden_states[-1][0])
        for pooling, expected in {"cls": last[0], "mean": last.mean(0), "last": last[-1]}.items():
            near(encode(encoder_of(family, pooling=pooling), [text, TEXTS[2]])[0], expected.float())
    for layer in range(-4, 4):  # those of the last text
        encoder = TextEncoder(loaded, tokenizer, "last", layer)
        near(encode(encoder, [text, TEXTS[2]])[0], out.hidden_states[layer][0, -1].float())


def test_nothing_but_the_embeddings_stays_in_memory(encoder_of):
    def tensors():
        return [x for x in gc.get_objects() if type(x) is torch.Tensor]

    made = [encoder_of("bert", pooling=pooling, layer=layer) for pooling in POOLINGS for layer in (-1, 2)]
    inputs = [encoder.prepare(TEXTS) for encoder in made]
    before = {id(x) for x in tensors()}
    out = [encoder(prepared) for encoder, prepared in zip(made, inputs, strict=True)]
    kept = [x.shape for x in tensors() if id(x) not in before and x.is_floating_point()]
    assert kept == [x.shape for x in out] == [(len(TEXTS), 32)] * 6
    assert all(x.untyped_storage().nbytes() == 4 * x.numel() for x in out)


def test_inner_layers_of_a_model_without_a_list_of_blocks(checkpoints):
    config = tf.AlbertConfig(
        vocab_size=200, embedding_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2
    )
    model, tokenizer = tf.AlbertModel(config), tf.AutoTokenizer.from_pretrained(checkpoints / "bert")
    assert encode(TextEncoder(model, tokenizer, "cls"), TEXTS).shape == (len(TEXTS), 16)
    with pytest.raises(UserError, match="AlbertModel has inner layers that cannot be read"):
        TextEncoder(model, tokenizer, "cls", layer=1)


@pytest.mark.parametrize("family", ["bert", "llama"])  # which pads to the right, and to the left
def test_the_tokenizer_does_not_choose_the_side(copy, encoder_of, family):
    folder, before = copy(family), encode(encoder_of(family), TEXTS)
    for side in ("left", "right"):
        tiny_text.edit(folder, "tokenizer_config.json", padding_side=side, truncation_side=side)
        encoder = source(folder).load(HOW)
        mask = encoder.prepare(TEXTS)["attention_mask"]
        assert (mask.diff(dim=1) <= 0).all() and (mask[:, 0] == 1).all()
        near(encode(encoder, TEXTS), before)


def test_padding_and_truncation_kept_in_the_tokenizers_file_are_not_used(copy, encoder_of):
    folder = copy("bert")
    padded = {"strategy": {"Fixed": 128}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0}
    padded |= {"pad_type_id": 0, "pad_token": "[PAD]"}
    cut = {"direction": "Left", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    tiny_text.edit(folder, "tokenizer.json", padding=padded, truncation=cut)
    near(encode(source(folder).load(HOW), TEXTS), encode(encoder_of("bert"), TEXTS))


def test_gpt2_is_told_the_positions_and_camembert_counts_itself(encoder_of):
    inputs = encoder_of("gpt2").prepare(["a good dog", "x"])
    long, short = inputs["position_ids"].tolist()
    assert long == list(range(len(long)))
    assert short == [0] * len(long)
    assert inputs["attention_mask"][1].sum() == 1
    assert "position_ids" not in encoder_of("camembert").prepare(TEXTS)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_very_long_texts_are_cut_to_what_the_model_takes(encoder_of, family):
    encoder, long = encoder_of(family, max_length=4096), "quick brown fox " * 4_000
    assert encoder.max_length == POSITIONS[family] and encoder.sizes([long]) == [POSITIONS[family]]
    assert encode(encoder, [long]).isfinite().all()
    assert torch.equal(encoder.prepare([long])["input_ids"], encoder.prepare([long[:20_000]])["input_ids"])


def test_a_cut_text_of_bert_still_ends_with_its_separator(encoder_of):
    encoder = encoder_of("bert", max_length=5)
    ids = encoder.prepare(["a quick brown fox jumps over the dog"])["input_ids"][0].tolist()
    assert (len(ids), ids[0], ids[-1]) == (5, 2, 3)
    assert encoder.sizes(TEXTS[:3]) == [5, 2, 5]


def test_a_language_model_that_puts_nothing_before_a_text_reads_an_empty_one_as_its_end_token(encoder_of):
    inputs = encoder_of("gpt2").prepare(["", "dog"])
    assert inputs["input_ids"][0, 0] == 0  # <|endoftext|>, the first token that it was given
    assert inputs["attention_mask"][0].tolist() == [1] + [0] * (inputs["input_ids"].shape[1] - 1)


def test_half_a_surrogate_pair_reads_as_the_replacement_character(encoder_of):
    encoder = encoder_of("gpt2", pooling="last")
    half, replaced, whole = encode(encoder, ["a \ud83d dog", "a \ufffd dog", "a \U0001f600 dog"])
    assert torch.equal(half, replaced) and not torch.equal(whole, replaced)


def test_tokens_that_only_the_tokenizer_has_are_unknown_to_the_model(checkpoints, encoder_of):
    tokenizer = tf.AutoTokenizer.from_pretrained(checkpoints / "gemma3")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>"]})
    encoder = TextEncoder(encoder_of("gemma3").model, tokenizer, "last")
    assert tokenizer("a <image>")["input_ids"][-1] == 500
    assert encoder.prepare(["a <image>"])["input_ids"][0, -1] == tokenizer.unk_token_id
    assert encode(encoder, ["a <image>"]).isfinite().all()


def test_the_callers_tokenizer_stays_as_it_is_and_the_model_is_frozen(checkpoints):
    model = tf.BertModel.from_pretrained(checkpoints / "bert").train()
    tokenizer = tf.AutoTokenizer.from_pretrained(checkpoints / "bert")
    short, long = TextEncoder(model, tokenizer, "cls", max_length=4), TextEncoder(model, tokenizer, "cls")
    assert short.sizes(TEXTS[2:3]) == [4]
    assert long.sizes(TEXTS[2:3]) == [64]
    assert len(tokenizer(TEXTS[2])["input_ids"]) > 64
    assert not any(weight.requires_grad for weight in long.parameters())
    assert torch.equal(encode(long, TEXTS), encode(long, TEXTS))  # no dropout


@pytest.mark.parametrize(
    ("family", "dtype"), [("bert", "bf16"), ("bert", "fp16"), ("gpt2", "bf16"), ("gemma3", "bf16")]
)
def test_narrow_weights_are_near_float32_and_have_a_key_of_their_own(checkpoints, encoder_of, family, dtype):
    full, half = (source(checkpoints / family, one, pooling="mean") for one in ("float32", dtype))
    assert content_key(full.identity()) != content_key(half.identity())
    encoder = half.load(HOW)
    assert {weight.dtype for weight in encoder.parameters()} == {
        torch.bfloat16 if dtype == "bf16" else torch.float16
    }
    x, y = encode(encoder_of(family, pooling="mean"), TEXTS), encode(encoder, TEXTS)
    assert y.dtype == torch.float32
    assert torch.cosine_similarity(x, y).min() > 0.99
    assert not torch.equal(x, y)


@pytest.mark.parametrize(("family", "layer"), [(family, 1) for family in FAMILIES] + [("bert", -1)])
def test_a_used_encoder_can_be_copied_to_another_process(encoder_of, family, layer):
    encoder = encoder_of(family, layer=layer)
    expected = encode(encoder, TEXTS)
    assert torch.equal(encode(pickle.loads(pickle.dumps(encoder)), TEXTS), expected)


def test_asking_for_sizes_does_not_change_what_is_prepared(checkpoints):
    asked, other = (source(checkpoints / "gpt2").load(HOW) for _ in range(2))
    for texts in (TEXTS[:3], TEXTS[2:]):
        asked.sizes(texts)
        for batch in (texts, texts[::-1], TEXTS):
            assert all(torch.equal(x, other.prepare(batch)[key]) for key, x in asked.prepare(batch).items())


@pytest.mark.parametrize(("family", "layer", "workers"), [("bert", -1, 2), ("gemma3", 1, 0)])
def test_texts_of_all_lengths_through_the_engine_in_their_order(
    encoder_of, tmp_path, capfd, family, layer, workers
):
    rng, words = random.Random(0), tiny_text.SENTENCES[0].split()
    texts = [" ".join(rng.choices(words, k=rng.choice([0, 1, 5, 40]))) for _ in range(60)]
    encoder, key = encoder_of(family, pooling="last", layer=layer), content_key({"model": family})
    how = Extraction(torch.device("cpu"), batch=7, batch_tokens=200, shard=25, workers=workers)
    found = extract(key, family, texts, lambda: encoder, {}, tmp_path, how)
    assert found.ok.all()
    near(found.x, torch.cat([encode(encoder, [one]) for one in texts]))
    assert capfd.readouterr() == ("", "")
