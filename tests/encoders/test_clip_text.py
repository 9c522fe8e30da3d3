"""CLIP's text tower, out of a checkpoint with both towers."""

import pytest
import tiny_text
import torch
import transformers as tf
from making import HOW, encode
from tiny_text import TEXTS, source, told_loading

from relrep_exp.store.keys import content_key


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_text.save("clip", tmp_path_factory.mktemp("clip"))


def test_the_last_token_is_what_clip_itself_projects(folder):
    encoder = source(folder, pooling="last", max_length=77).load(HOW)
    whole, tokenizer = tf.CLIPModel.from_pretrained(folder), tf.AutoTokenizer.from_pretrained(folder)
    assert (encoder.dim, encoder.max_length) == (32, 40)
    inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=40, return_tensors="pt")
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
