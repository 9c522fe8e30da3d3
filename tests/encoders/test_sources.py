"""Sources: light until they are loaded, and kinds of a user's own, embedded for real."""

import importlib.util
import logging
import pickle
import subprocess
import sys
from types import SimpleNamespace

import pytest
import tiny_text
import tiny_vision
import torch
from making import HOW, asked, sources
from pydantic import TypeAdapter
from toy import CPU, SAMPLES, Damaged, Toy

from relrep_exp.config.schema import (
    DATA,
    ZOOS,
    ClustersData,
    DataConfig,
    DigitsData,
    ReviewsData,
    TemplatesData,
    ZooConfig,
)
from relrep_exp.data.samples import Samples, View
from relrep_exp.data.sources import READERS, Dataset
from relrep_exp.encoders import zoo
from relrep_exp.encoders.embed import Extraction, described, embed
from relrep_exp.errors import UserError
from relrep_exp.store.keys import content_key

ZOO = TypeAdapter(ZooConfig).validate_python
DIGITS, REVIEWS = DigitsData("digits"), ReviewsData("reviews", "template_reviews", train=40, test=12)
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


OWN = """
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from relrep_exp.data.samples import Samples, View
from relrep_exp.data.sources import data_source
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.encoders.zoo import EncoderSource, zoo_kind

LOADED, READ = [], []


@dataclass(frozen=True)
class CountsData:
    kind: Literal["counts"]
    name: str = "counts"
    holds: ClassVar[tuple[str, ...]] = ("points",)
    n: int = 12


@data_source("counts", CountsData)
class Counts:
    def identity(self, config, views, offline):
        READ.append("identity")
        return {view: {"n": config.n} for view in views}

    def load(self, config, views, offline):
        READ.append("samples")
        split = torch.arange(config.n) % 3 != 0
        return Samples({view: View(range(config.n), split) for view in views}, parallel=True)


@dataclass(frozen=True)
class PowersZoo:
    kind: Literal["powers"]
    encoders: dict[str, int]
    name: str = "powers"

    @property
    def views(self):
        return ["point"]


class Powers(Encoder):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def prepare(self, samples):
        return torch.tensor(samples, dtype=torch.float32)

    def forward(self, inputs):
        return inputs[:, None] ** torch.arange(self.dim)


def load(source, training):
    LOADED.append(source.dim)
    return Powers(source.dim)


@dataclass(frozen=True)
class PowersSource(EncoderSource):
    dim: int
    view: str = "point"

    loader = load

    def identity(self):
        return {"powers": self.dim}


@zoo_kind("powers", PowersZoo)
def sources(zoo, data, config):
    return {name: PowersSource(dim) for name, dim in zoo.encoders.items()}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The file as a plugin would be imported; what it registers is forgotten afterwards."""
    path = tmp_path_factory.mktemp("own") / "own_kinds.py"
    path.write_text(OWN)
    tables = (DATA, ZOOS, READERS.functions, zoo.ENCODERS.functions)
    before = [dict(table) for table in tables]
    spec = importlib.util.spec_from_file_location("own_kinds", path)
    sys.modules["own_kinds"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for table, known in zip(tables, before, strict=True):
        for name in table.keys() - known.keys():
            del table[name]
    del sys.modules["own_kinds"]


def parts(**data):
    """Data, and the part of a run's configuration that a zoo is made from."""
    samples = TypeAdapter(DataConfig).validate_python({"kind": "counts", **data})
    powers = TypeAdapter(ZooConfig).validate_python({"kind": "powers", "encoders": {"two": 2, "three": 3}})
    return Dataset(samples, True), SimpleNamespace(zoo=powers, **vars(asked()))


def embedded(outputs, shard=4096, **data):
    samples, config = parts(**data)
    encoders = zoo.sources(config, samples, zoo.left(config, {}))
    return embed(encoders, [samples], ["point"], outputs, Extraction(CPU, shard=shard), HOW)


def test_own_encoders_embed_own_samples_once(own, tmp_path, caplog):
    own.LOADED.clear()
    with caplog.at_level(logging.INFO, "relrep_exp"):
        first, again = embedded(tmp_path), embedded(tmp_path)
    assert own.LOADED == [2, 3]
    for found in (first, again):
        x = torch.arange(12.0)
        assert torch.equal(found.paired["three"].x, torch.stack([x**0, x, x**2], dim=1))
        assert (found.names, found.paired_count, found.classes) == (["two", "three"], 8, 0)
    assert [message.getMessage() for message in caplog.records] == [
        "embeddings 1 of 2: two, 12 points: computed",
        "embeddings 2 of 2: three, 12 points: computed",
        "embeddings 1 of 2: two, 12 points: read",
        "embeddings 2 of 2: three, 12 points: read",
    ]
    assert set(first.keys.values()).isdisjoint(embedded(tmp_path, n=13).keys.values())


def test_what_is_left_of_an_interrupted_embedding_is_told(own, tmp_path, caplog, monkeypatch):
    def interrupted(self, inputs):
        if inputs[0] > 7:
            raise KeyboardInterrupt
        return torch.ones(len(inputs), self.dim)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(own.Powers, "forward", interrupted)
        embedded(tmp_path, shard=4)
    caplog.clear()
    with caplog.at_level(logging.INFO, "relrep_exp"):
        embedded(tmp_path, shard=4)
    assert caplog.messages[0] == "embeddings 1 of 2: two, 12 points: computed, 4 are left"


def test_a_dataset_asks_its_reader_each_thing_once(own):
    samples, _ = parts()
    own.READ.clear()
    for views in (["point"], ("point",), ["point"]):
        assert samples.identity(views) == {"point": {"n": 12}}
        assert len(samples.load(views).views["point"].samples) == 12
    assert own.READ == ["identity", "samples"]
    assert samples.repo(["point"]) is None


def test_too_few_encoders_that_are_left_are_told(own):
    _, config = parts()
    assert zoo.left(config, {}) == ["two", "three"]
    with pytest.raises(UserError, match=r"zoo\.skip_missing=true leaves 1 of 2"):
        zoo.left(config, ["two"])


# What is known of the images behind the embeddings

N = 12


class Source:
    def __init__(self, view):
        self.view = view

    def identity(self):
        return {"view": self.view}

    def load(self, training):
        return Toy()


def toys(outputs, view, bad=()):
    view_of = View(Damaged(SAMPLES[:N], set(bad)), torch.arange(N) % 3 != 0, torch.zeros(N).long())
    loaded = Samples({view: view_of}, parallel=True)
    data = SimpleNamespace(load=lambda views: loaded, identity=lambda views: {view: "x"})
    return embed({"toy": Source(view)}, [data], [view], outputs, Extraction(CPU, on_error="skip"), HOW)


@pytest.mark.parametrize("bad", [(), (0, 1, 7)])
def test_row_n_of_the_images_is_row_n_of_the_embeddings(tmp_path, bad):
    found = toys(tmp_path, "image", bad)
    corpus = found.paired["toy"]
    assert len(found.images) == len(corpus.x) == N - len(bad)
    for row, x in enumerate(corpus.x):
        assert float(x[0]) == sum(found.images[row])
    assert found.to(CPU).images is found.images
    assert toys(tmp_path / "texts", "en").images is None


def test_embeddings_without_some_rows_are_known_by_another_name(tmp_path):
    lost = [(), (), (0,), (1,)]
    found = [toys(tmp_path / str(number), "image", bad) for number, bad in enumerate(lost)]
    keys = [embeddings.keys["toy"] for embeddings in found]
    assert keys[0] == keys[1] == content_key(described(Source("image"), {"image": "x"}))
    assert len(set(keys)) == 3
