"""Text encoders and language models: one embedding per text, which depends on that text alone."""

import gc
import pickle
import random

import pytest
import tiny_text
import torch
import transformers
from making import HOW
from tiny_text import CAUSAL, FAMILIES, TEXTS, encode, source

from relrep_exp.encoders.embed import Extraction, extract
from relrep_exp.encoders.text_model import TextEncoder
from relrep_exp.errors import UserError
from relrep_exp.store.keys import content_key

POOLINGS = ("cls", "mean", "last")


def raw(folder, family):
    """The model itself in float64, by its own class, and the tokenizer."""
    kinds = {
        "bert": transformers.BertModel,
        "camembert": transformers.CamembertModel,
        "gpt2": transformers.GPT2Model,
        "llama": transformers.LlamaModel,
        "gemma3": transformers.Gemma3TextModel,
    }
    model = kinds[family].from_pretrained(folder, dtype=torch.float64)
    return model.eval(), transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_embedding_depends_on_its_text_alone(checkpoints, family, pooling):
    encoder = source(checkpoints / family, pooling=pooling).load(HOW)
    alone = torch.cat([encode(encoder, [one]) for one in TEXTS])
    together = encode(encoder, TEXTS)
    order = torch.randperm(len(TEXTS), generator=torch.Generator().manual_seed(0))
    shuffled = encode(encoder, [TEXTS[i] for i in order])
    assert alone.shape == (len(TEXTS), encoder.dim) == (len(TEXTS), 32)
    assert alone.dtype == torch.float32
    assert alone.isfinite().all()
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(shuffled, alone[order], atol=1e-5, rtol=0)
    read = encoder.sizes(TEXTS)
    apart = torch.pdist(alone[[i for i in range(len(TEXTS)) if read[i] > 3]])
    assert apart.min() > 0.1 or (pooling == "cls" and family in CAUSAL)  # which reads one token alone


@pytest.mark.parametrize("family", FAMILIES)
def test_neighbours_in_the_batch_do_not_matter(checkpoints, family):
    encoder = source(checkpoints / family, pooling="last").load(HOW)
    beside = [encode(encoder, ["a good dog", other])[0] for other in ("", "fox " * 300, "quick brown " * 9)]
    for one in beside:
        torch.testing.assert_close(one, encode(encoder, ["a good dog"])[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_token_is_that_of_the_model_run_on_the_text_alone(checkpoints, family):
    model, tokenizer = raw(checkpoints / family, family)
    encoder = source(checkpoints / family, pooling="last").load(HOW)
    encoder.double()
    with torch.no_grad():
        for row, one in zip(encode(encoder, TEXTS[:1] + TEXTS[4:7]), TEXTS[:1] + TEXTS[4:7], strict=True):
            alone = model(tokenizer(one, return_tensors="pt")["input_ids"]).last_hidden_state[0, -1]
            torch.testing.assert_close(row, alone.float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_cls_and_mean_are_the_first_state_and_the_mean_of_all(checkpoints, family):
    model, tokenizer = raw(checkpoints / family, family)
    with torch.no_grad():
        states = model(tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]).last_hidden_state[0]
    for pooling, expected in (("cls", states[0]), ("mean", states.mean(0))):
        encoder = source(checkpoints / family, pooling=pooling).load(HOW)
        got = encode(encoder, [TEXTS[0], TEXTS[2]])[0]
        torch.testing.assert_close(got, expected.float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_from_the_embeddings_to_the_normed_last(checkpoints, family):
    model, tokenizer = raw(checkpoints / family, family)
    with torch.no_grad():
        out = model(tokenizer(TEXTS[0], return_tensors="pt")["input_ids"], output_hidden_states=True)
    expected = [states[0, -1].float() for states in out.hidden_states]
    torch.testing.assert_close(expected[-1], out.last_hidden_state[0, -1].float())
    for layer in range(-4, 4):
        encoder = source(checkpoints / family, pooling="last", layer=layer).load(HOW)
        got = encode(encoder, [TEXTS[0], TEXTS[2]])[0]
        torch.testing.assert_close(got, expected[layer], atol=1e-5, rtol=0)


@pytest.mark.parametrize("layer", [-1, 2])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_nothing_but_the_embeddings_stays_in_memory(checkpoints, pooling, layer):
    encoder = source(checkpoints / "bert", pooling=pooling, layer=layer).load(HOW)
    inputs = encoder.prepare(TEXTS)
    before = {id(x) for x in tensors()}
    out = encoder(inputs)
    assert [x.shape for x in tensors() if id(x) not in before and x.is_floating_point()] == [out.shape]


def tensors():
    return [x for x in gc.get_objects() if type(x) is torch.Tensor]


def test_inner_layers_of_a_model_without_a_list_of_blocks(checkpoints):
    config = transformers.AlbertConfig(
        vocab_size=200, embedding_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2
    )
    model, (_, tokenizer) = transformers.AlbertModel(config), FAMILIES["bert"]()
    assert encode(TextEncoder(model, tokenizer, "cls"), TEXTS).shape == (len(TEXTS), 16)
    with pytest.raises(UserError, match="AlbertModel has inner layers that cannot be read"):
        TextEncoder(model, tokenizer, "cls", layer=1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_tokenizer_does_not_choose_the_side(copy, family, side):
    folder = copy(family)
    before = encode(source(folder).load(HOW), TEXTS)
    tiny_text.edit(folder, "tokenizer_config.json", padding_side=side, truncation_side=side)
    encoder = source(folder).load(HOW)
    mask = encoder.prepare(TEXTS)["attention_mask"]
    assert (mask.diff(dim=1) <= 0).all()
    assert (mask[:, 0] == 1).all()
    torch.testing.assert_close(encode(encoder, TEXTS), before, atol=1e-5, rtol=0)


def test_padding_and_truncation_kept_in_the_tokenizers_file_are_not_used(copy):
    folder = copy("bert")
    plain = encode(source(folder).load(HOW), TEXTS)
    padded = {"strategy": {"Fixed": 128}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0}
    padded |= {"pad_type_id": 0, "pad_token": "[PAD]"}
    cut = {"direction": "Left", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    tiny_text.edit(folder, "tokenizer.json", padding=padded, truncation=cut)
    torch.testing.assert_close(encode(source(folder).load(HOW), TEXTS), plain)


def test_gpt2_is_told_the_positions(checkpoints):
    inputs = source(checkpoints / "gpt2").load(HOW).prepare(["a good dog", "x"])
    long, short = inputs["position_ids"].tolist()
    assert long == list(range(len(long)))
    assert short == [0] * len(long)
    assert inputs["attention_mask"][1].sum() == 1


def test_camembert_counts_positions_itself_and_loses_two(checkpoints):
    encoder = source(checkpoints / "camembert").load(HOW)
    assert "position_ids" not in encoder.prepare(TEXTS)
    assert encoder.max_length == 62
    assert max(encoder.sizes(TEXTS)) == 62


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_are_the_tokens_that_are_read(checkpoints, family):
    encoder = source(checkpoints / family, max_length=20).load(HOW)
    sizes = encoder.sizes(TEXTS)
    assert sizes == encoder.prepare(TEXTS)["attention_mask"].sum(dim=1).tolist()
    assert max(sizes) == 20
    assert min(sizes) >= 1


@pytest.mark.parametrize(("family", "most"), [("bert", 64), ("camembert", 62), ("gpt2", 64), ("llama", 128)])
def test_very_long_texts_are_cut_to_what_the_model_takes(checkpoints, family, most):
    encoder = source(checkpoints / family, max_length=4096).load(HOW)
    long = "quick brown fox " * 40_000
    assert encoder.sizes([long]) == [most]
    assert encode(encoder, [long]).isfinite().all()
    assert torch.equal(encoder.prepare([long])["input_ids"], encoder.prepare([long[:20_000]])["input_ids"])


def test_a_cut_text_of_bert_still_ends_with_its_separator(checkpoints):
    encoder = source(checkpoints / "bert", max_length=5).load(HOW)
    ids = encoder.prepare(["a quick brown fox jumps over the dog"])["input_ids"][0].tolist()
    assert len(ids) == 5
    assert (ids[0], ids[-1]) == (2, 3)


@pytest.mark.parametrize("blank", ["", " ", "\n\t \u3000"])
@pytest.mark.parametrize("family", FAMILIES)
def test_blank_texts_have_an_embedding(checkpoints, family, blank):
    encoder = source(checkpoints / family, pooling="mean").load(HOW)
    assert encode(encoder, [blank]).isfinite().all()
    torch.testing.assert_close(
        encode(encoder, [blank, TEXTS[2]])[:1], encode(encoder, [blank]), atol=1e-5, rtol=0
    )


def test_a_language_model_that_puts_nothing_before_a_text_reads_an_empty_one_as_its_end_token(checkpoints):
    inputs = source(checkpoints / "gpt2").load(HOW).prepare(["", "dog"])
    end = transformers.AutoTokenizer.from_pretrained(checkpoints / "gpt2").eos_token_id
    assert inputs["input_ids"][0, 0] == end
    assert inputs["attention_mask"][0].tolist() == [1] + [0] * (inputs["input_ids"].shape[1] - 1)


def test_half_a_surrogate_pair_reads_as_the_replacement_character(checkpoints):
    encoder = source(checkpoints / "gpt2", pooling="last").load(HOW)
    assert torch.equal(encode(encoder, ["a \ud83d dog"]), encode(encoder, ["a \ufffd dog"]))
    assert not torch.equal(encode(encoder, ["a \U0001f600 dog"]), encode(encoder, ["a \ufffd dog"]))


def test_tokens_that_only_the_tokenizer_has_are_unknown_to_the_model(checkpoints):
    folder = checkpoints / "gemma3"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>"]})
    model, _ = FAMILIES["gemma3"]()
    encoder = TextEncoder(model.model, tokenizer, "last")
    assert tokenizer("a <image>")["input_ids"][-1] == 500
    assert encoder.prepare(["a <image>"])["input_ids"][0, -1] == tokenizer.unk_token_id
    assert encode(encoder, ["a <image>"]).isfinite().all()


def test_the_callers_tokenizer_stays_as_it_is(checkpoints):
    model, tokenizer = FAMILIES["bert"]()
    short, long = TextEncoder(model, tokenizer, "cls", max_length=4), TextEncoder(model, tokenizer, "cls")
    assert short.sizes(TEXTS[2:3]) == [4]
    assert long.sizes(TEXTS[2:3]) == [64]
    assert len(tokenizer(TEXTS[2])["input_ids"]) > 64


@pytest.mark.parametrize("family", FAMILIES)
def test_bf16_is_near_float32_and_has_a_key_of_its_own(checkpoints, family):
    full, half = (source(checkpoints / family, dtype, pooling="mean") for dtype in ("float32", "bf16"))
    assert content_key(full.identity()) != content_key(half.identity())
    encoder = half.load(HOW)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.bfloat16}
    x, y = encode(full.load(HOW), TEXTS), encode(encoder, TEXTS)
    assert y.dtype == torch.float32
    assert torch.cosine_similarity(x, y).min() > 0.99
    assert not torch.equal(x, y)


def test_fp16_weights(checkpoints):
    encoder = source(checkpoints / "bert", "fp16").load(HOW)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float16}
    assert (
        torch.cosine_similarity(
            encode(encoder, TEXTS), encode(source(checkpoints / "bert").load(HOW), TEXTS)
        ).min()
        > 0.99
    )


def test_the_encoder_is_frozen(checkpoints):
    model, tokenizer = FAMILIES["bert"]()
    encoder = TextEncoder(model.train(), tokenizer, "cls")
    assert not any(weight.requires_grad for weight in encoder.parameters())
    assert torch.equal(encode(encoder, TEXTS), encode(encoder, TEXTS))  # no dropout


@pytest.mark.parametrize("layer", [-1, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_used_encoder_can_be_copied_to_another_process(checkpoints, family, layer):
    encoder = source(checkpoints / family, layer=layer).load(HOW)
    expected = encode(encoder, TEXTS)
    assert torch.equal(encode(pickle.loads(pickle.dumps(encoder)), TEXTS), expected)


def test_asking_for_sizes_does_not_change_what_is_prepared(checkpoints):
    asked, other = (source(checkpoints / "gpt2").load(HOW) for _ in range(2))
    for texts in (TEXTS[:3], TEXTS[2:]):
        asked.sizes(texts)
        for batch in (texts, texts[::-1], TEXTS):
            assert all(torch.equal(x, other.prepare(batch)[key]) for key, x in asked.prepare(batch).items())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("family", "layer"), [("bert", -1), ("gemma3", 1)])
def test_texts_of_all_lengths_through_the_engine_in_their_order(
    checkpoints, tmp_path, capfd, family, layer, workers
):
    rng = random.Random(0)
    texts = [
        " ".join(rng.choices(tiny_text.SENTENCES[0].split(), k=rng.choice([0, 1, 5, 40]))) for _ in range(60)
    ]
    encoder = source(checkpoints / family, pooling="last", layer=layer)
    how = Extraction(torch.device("cpu"), batch=7, batch_tokens=200, shard=25, workers=workers)
    key = content_key(encoder.identity())
    found = extract(key, family, texts, lambda: encoder.load(HOW), encoder.identity(), tmp_path, how)
    alone = encoder.load(HOW)
    expected = torch.cat([encode(alone, [one]) for one in texts])
    assert found.ok.all()
    torch.testing.assert_close(found.x, expected, atol=1e-5, rtol=0)
    assert capfd.readouterr() == ("", "")
