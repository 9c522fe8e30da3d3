"""Kinds of a user's own: samples that a file reads and encoders that it makes, embedded for real."""

import importlib.util
import logging
import sys
from types import SimpleNamespace

import pytest
import torch
from making import HOW, asked
from pydantic import TypeAdapter
from toy import CPU

from relrep_exp.config.schema import DATA, ZOOS, DataConfig, ZooConfig
from relrep_exp.data.sources import READERS, Dataset
from relrep_exp.encoders import zoo
from relrep_exp.encoders.embed import Extraction, Group, embed
from relrep_exp.errors import UserError

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
    group = Group(samples.load(["point"]), samples.identity(["point"]))
    return embed(encoders, group, group, outputs, Extraction(CPU, shard=shard), {}, HOW)


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
