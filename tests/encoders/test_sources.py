"""Sources: light until they are loaded, each embedding computed once, and what is known of its samples."""

import logging
import pickle
import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import tiny_text
import tiny_vision
import torch
from making import HOW, sources
from pydantic import TypeAdapter
from toy import CPU, EXPECTED, SAMPLES, Damaged, Toy

from relrep_exp.config.schema import ClustersData, DigitsData, ReviewsData, TemplatesData, ZooConfig
from relrep_exp.data.samples import Samples, View
from relrep_exp.encoders import zoo
from relrep_exp.encoders.embed import Extraction, described, embed
from relrep_exp.errors import UserError
from relrep_exp.store.keys import content_key

ZOO = TypeAdapter(ZooConfig).validate_python
DIGITS, REVIEWS = DigitsData("digits"), ReviewsData("reviews", "template_reviews", train=40, test=12)
TWO = {"one": {"language": "en"}, "two": {"language": "de"}}
MADE = {  # kind -> data, what the zoo says besides, one of its encoders
    "local": (DIGITS, {}, {"architecture": "mlp", "dim": 4, "depth": 1, "seed": 0}),
    "autoencoder": (DIGITS, {"latent": 4}, {"seed": 0}),
    "lsa": (REVIEWS, {}, {"language": "en"}),
    "local_bert": (REVIEWS, {}, {"language": "en", "dim": 4, "depth": 1, "heads": 1, "seed": 0}),
    "local_lm": (
        TemplatesData("templates", "templates", train=40, test=12),
        {},
        {"architecture": "llama", "dim": 4, "depth": 1, "heads": 1, "seed": 0},
    ),
    "distorted": (ClustersData("clusters", "clusters"), {}, {"rotation": 3.0}),
}


def test_sources_are_small_and_an_identity_needs_nothing_heavy(checkpoints, folders, tmp_path):
    found = [tiny_text.source(checkpoints / "bert"), tiny_vision.source(folders[tiny_vision.VIT])]
    for kind, (data, more, encoder) in MADE.items():
        settings = ZOO({"kind": kind, "name": "tiny", "encoders": {"one": encoder}, **more})
        found += sources(settings, data, tmp_path).values()
    packed = [pickle.dumps(one) for one in found]
    assert max(map(len, packed)) < 2000
    (tmp_path / "sources").write_bytes(pickle.dumps(packed))
    code = (
        "import pickle, sys; packed = pickle.load(open(sys.argv[1], 'rb'));"
        "print([pickle.loads(one).identity() for one in packed]);"
        "heavy = {'torch', 'transformers', 'tokenizers', 'timm', 'pytorch_lightning'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "sources")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([one.identity() for one in found])


N = 12


@dataclass
class Source:
    """The toy encoder of a view; counts how often it is loaded."""

    view: str
    loaded: int = 0

    def identity(self):
        return {"view": self.view}

    def load(self, training):
        self.loaded += 1
        return Toy()


def embedded(outputs, bad=(), shard=4096, **encoders):
    """The toys that read a view each, over samples of which some are damaged."""
    encoders = encoders or {"toy": Source("image")}
    samples = View(Damaged(SAMPLES[:N], set(bad)), torch.arange(N) % 3 != 0, torch.zeros(N).long())
    names = {source.view for source in encoders.values()}
    loaded = Samples(dict.fromkeys(names, samples), parallel=True)
    data = SimpleNamespace(load=lambda read: loaded, identity=lambda read: dict.fromkeys(read, "x"))
    return embed(encoders, [data], names, outputs, Extraction(CPU, shard=shard, on_error="skip"), HOW)


def test_each_embedding_is_computed_once_and_the_log_says_so(tmp_path, caplog):
    encoders = {"one": Source("point"), "two": Source("en")}
    with caplog.at_level(logging.INFO, "relrep_exp"):
        first, again = (embedded(tmp_path, **encoders) for _ in range(2))
    assert [source.loaded for source in encoders.values()] == [1, 1]
    for found in (first, again):
        assert torch.equal(found.paired["two"].x, EXPECTED[:N])
        assert (found.names, found.paired_count, found.classes) == (["one", "two"], 8, 1)
        assert found.images is None
    assert caplog.messages == [
        f"embeddings {number} of 2: {what}: {done}"
        for done in ("computed", "read")
        for number, what in ((1, "one, 12 points"), (2, "two, 12 texts"))
    ]


def test_what_is_left_of_an_interrupted_embedding_is_told(tmp_path, caplog, monkeypatch):
    def interrupted(self, inputs):
        if len(list((tmp_path / "embeddings").glob("*.parts/*.json"))) == 2:
            raise KeyboardInterrupt
        return torch.ones(len(inputs["lengths"]), self.dim)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Toy, "forward", interrupted)
        embedded(tmp_path, shard=4)
    caplog.clear()
    with caplog.at_level(logging.INFO, "relrep_exp"):
        embedded(tmp_path, shard=4)
    assert caplog.messages[0] == "embeddings 1 of 1: toy, 12 images: computed, 4 are left"


def test_too_few_encoders_that_are_left_are_told():
    config = SimpleNamespace(zoo=ZOO({"kind": "lsa", "name": "two", "encoders": TWO}))
    assert zoo.left(config, {}) == ["one", "two"]
    with pytest.raises(UserError, match=r"zoo\.skip_missing=true leaves 1 of 2"):
        zoo.left(config, ["two"])


@pytest.mark.parametrize("bad", [(), (0, 1, 7)])
def test_row_n_of_the_images_is_row_n_of_the_embeddings(tmp_path, bad):
    found = embedded(tmp_path, bad)
    corpus = found.paired["toy"]
    assert len(found.images) == len(corpus.x) == N - len(bad)
    for row, x in enumerate(corpus.x):
        assert float(x[0]) == sum(found.images[row])
    assert found.to(CPU).images is found.images


def test_embeddings_without_some_rows_are_known_by_another_name(tmp_path):
    lost = [(), (), (0,), (1,)]
    keys = [embedded(tmp_path / str(n), bad).keys["toy"] for n, bad in enumerate(lost)]
    assert keys[0] == keys[1] == content_key(described(Source("image"), {"image": "x"}))
    assert len(set(keys)) == 3
