"""CLIP's text tower, out of a checkpoint with both towers."""

import pytest
import tiny_text
import torch
import transformers as tf
from making import HOW
from tiny_text import TEXTS, encode, source, told_loading
from tokenizers import models, pre_tokenizers, trainers

from relrep_exp.store.keys import content_key

POSITIONS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny CLIP as its owner would publish it: byte-level BPE of lowered words, a token on either side."""
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        **tiny_text._quiet(["<|startoftext|>", "<|endoftext|>"]),
    )
    bpe = models.BPE(end_of_word_suffix="</w>")
    learned = tiny_text._trained(bpe, trainer, pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer = tf.CLIPTokenizer(
        vocab=learned["vocab"], merges=tiny_text._merges(learned), model_max_length=POSITIONS
    )
    text = {**tiny_text._sizes(learned["vocab"]), "intermediate_size": 48, "projection_dim": 16}
    text |= {"max_position_embeddings": POSITIONS, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    image = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    image |= {"image_size": 8, "patch_size": 4, "projection_dim": 16}
    config = tf.CLIPConfig(text_config=text, vision_config=image, projection_dim=16)
    where = tmp_path_factory.mktemp("clip")
    tiny_text._model(tf.CLIPModel, config, 0).save_pretrained(where)
    tokenizer.save_pretrained(where)
    return where


def test_the_last_token_is_what_clip_itself_projects(folder):
    encoder = source(folder, pooling="last", max_length=77).load(HOW)
    whole, tokenizer = tf.CLIPModel.from_pretrained(folder), tf.AutoTokenizer.from_pretrained(folder)
    assert (encoder.dim, encoder.max_length) == (32, POSITIONS)
    inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=POSITIONS, return_tensors="pt")
    with torch.no_grad():
        features = whole.get_text_features(**inputs)
        projected = whole.text_projection(encode(encoder, TEXTS))
    torch.testing.assert_close(projected, features.pooler_output, atol=1e-4, rtol=0)
    assert torch.pdist(encode(encoder, ["a good dog", "The fox", "A good book"])).min() > 0.1


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_an_embedding_depends_on_its_text_alone(folder, pooling):
    encoder = source(folder, pooling=pooling).load(HOW)
    alone = torch.cat([encode(encoder, [one]) for one in TEXTS])
    torch.testing.assert_close(encode(encoder, TEXTS), alone, atol=1e-5, rtol=0)


def test_a_cut_text_still_ends_with_its_end_token(folder):
    encoder = source(folder, pooling="last", max_length=9).load(HOW)
    ids = encoder.prepare(["fox " * 300])["input_ids"]
    assert ids.shape == (1, 9)
    assert (int(ids[0, 0]), int(ids[0, -1])) == (0, 1)


def test_the_first_token_which_reads_nothing_is_refused(folder):
    said = told_loading(folder, pooling="cls")
    assert "zoo.encoders.mine.pooling=cls" in said
    assert "pooling=last" in said


def test_missing_weights_of_the_tower_are_told_and_the_other_towers_are_not_missed(folder, tmp_path):
    tf.CLIPModel.from_pretrained(folder).text_model.save_pretrained(tmp_path / "tower")
    tf.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "tower")
    tower = source(tmp_path / "tower", pooling="last").load(HOW)
    whole = source(folder, pooling="last").load(HOW)
    torch.testing.assert_close(encode(tower, TEXTS), encode(whole, TEXTS), atol=1e-6, rtol=0)
    keys = {content_key(source(where, pooling="last").identity()) for where in (folder, tmp_path / "tower")}
    assert len(keys) == 2
    tiny_text.rewritten(lambda weights: {n: w for n, w in weights.items() if "layers.1" not in n})(
        tmp_path / "tower"
    )
    assert "weights are missing" in told_loading(tmp_path / "tower", pooling="last")
