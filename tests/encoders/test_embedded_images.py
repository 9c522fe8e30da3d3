"""What embeddings know of the images behind them: those of the training rows, less what was left out."""

import pytest
import torch
from making import HOW
from toy import CPU, SAMPLES, Damaged, Toy

from relrep_exp.data.samples import Samples, View
from relrep_exp.encoders.embed import Extraction, Group, described, embed
from relrep_exp.store.keys import content_key

N = 12
IS_TRAIN = torch.arange(N) % 3 != 0


class Source:
    def __init__(self, view):
        self.view = view

    def identity(self):
        return {"view": self.view}

    def load(self, training):
        return Toy()


def embedded(outputs, view, bad=()):
    samples = Damaged(SAMPLES[:N], set(bad))
    group = Group(Samples({view: View(samples, IS_TRAIN, torch.zeros(N).long())}, parallel=True), {view: "x"})
    how = Extraction(CPU, on_error="skip")
    return embed({"toy": Source(view)}, group, group, outputs, how, {}, HOW)


@pytest.mark.parametrize("bad", [(), (0, 1, 7)])
def test_row_n_of_the_images_is_row_n_of_the_embeddings(tmp_path, bad):
    found = embedded(tmp_path, "image", bad)
    corpus = found.paired["toy"]
    assert len(found.images) == len(corpus.x) == N - len(bad)
    for row, x in enumerate(corpus.x):
        assert float(x[0]) == sum(found.images[row])
    assert found.to(CPU).images is found.images


def test_texts_have_none(tmp_path):
    assert embedded(tmp_path, "en").images is None


def test_embeddings_without_some_rows_are_known_by_another_name(tmp_path):
    lost = [(), (), (0,), (1,)]
    found = [embedded(tmp_path / str(number), "image", bad) for number, bad in enumerate(lost)]
    keys = [embeddings.keys["toy"] for embeddings in found]
    assert keys[0] == keys[1] == content_key(described(Source("image"), {"image": "x"}))
    assert len(set(keys)) == 3
