"""A task, an aligner and a decoder of a user's own: one file with settings and function, which then runs."""

import dataclasses
import importlib.util
import sys

import pytest
import torch
from pydantic.dataclasses import rebuild_dataclass
from works import measured

from relrep_exp.config import schema
from relrep_exp.config.schema import Config, TaskConfig
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.tasks.measure import ALIGNERS, DECODERS, TASKS

TASK = '''
from typing import Literal

from pydantic.dataclasses import dataclass

from relrep_exp.config.schema import TaskConfig
from relrep_exp.tasks.measure import task
from relrep_exp.tasks.work import Result


@dataclass(frozen=True)
class Norms(TaskConfig):
    """How long test embeddings are, times `times`."""

    kind: Literal["norms"]
    times: float = 1.0


@task("norms", Norms)
def norms(work, aligners):
    result = Result()
    with work.timed("measure"):
        for target, aligner in aligners.items():
            x = aligner.carry(work.test[target], target, target)
            norm = float(x.norm(dim=1).mean()) * work.config.task.times
            result.add(target, target, aligner.method, {"norm": norm})
    return result
'''
ALIGNER = '''
from typing import Literal

from pydantic.dataclasses import dataclass

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.tasks.measure import aligner


@dataclass(frozen=True)
class CentredConfig:
    name: Literal["centred"]
    scale: float = 1.0


class Centred(Aligner):
    """The first three coordinates of every encoder, centred by its training embeddings."""

    method = "centred"

    def __init__(self, scale):
        self.scale, self.means = scale, {}

    def fit(self, spaces):
        for name, space in spaces.items():
            self.join(name, space)
        return self

    def join(self, name, space):
        self.means[name] = space.x[:, :3].mean(0)

    def carry(self, x, source, target):
        return self.scale * (x[:, :3] - self.means[target])


@aligner("centred", CentredConfig)
def centred(work):
    return lambda: Centred(work.config.aligner.scale)
'''
DECODER = '''
from typing import Literal

import torch
from pydantic.dataclasses import dataclass

from relrep_exp.tasks.measure import decoder


@dataclass(frozen=True)
class NearestConfig:
    name: Literal["nearest"]


class Nearest:
    """The class whose training features have the nearest mean."""

    def __init__(self, x, y, classes):
        self.means = torch.stack([x[y == number].mean(0) for number in range(classes)])

    def predict(self, x):
        return torch.cdist(x, self.means).argmin(1)


@decoder("nearest", NearestConfig)
def nearest(work):
    return lambda jobs, classes: [Nearest(job.x, job.y, classes) for job in jobs]
'''


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """A function that imports a file of the user's; what it registers is forgotten after the test."""
    for registry in (TASKS, ALIGNERS, DECODERS):
        for table in (registry.kinds, registry.functions):
            for kind in ("norms", "centred", "nearest"):
                monkeypatch.setitem(table, kind, None)
                table.pop(kind)

    def load(text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location("mine", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "mine", module)
        spec.loader.exec_module(module)
        rebuild_dataclass(Config, force=True)
        return module

    return load


@pytest.fixture(scope="module")
def embeddings():
    """Two encoders of three classes: one is the other moved, with an axis of its own."""
    g = torch.Generator().manual_seed(0)
    labels, split = torch.arange(90) % 3, torch.arange(90) < 60
    x = 4 * torch.eye(3)[labels] + 0.3 * torch.randn(90, 3, generator=g)
    spaces = {"a": x, "b": torch.cat([x + 100, torch.randn(90, 1, generator=g)], dim=1)}
    corpora = {name: Corpus(space, split, labels) for name, space in spaces.items()}
    return Embeddings(corpora, corpora, {name: name for name in spaces})


def values(result, metric):
    return {(row.source, row.target): row.value for row in result.rows if row.metric == metric}


def test_a_task_of_ones_own(loaded, embeddings):
    task = loaded(TASK).Norms(name="my_norms", kind="norms", times=2.0)
    assert schema.TASKS["norms"] is type(task) and task.aligned and not task.decodes
    result = measured(embeddings, task=task)
    assert {row.method for row in result.rows} == {"random-wip"}
    once = measured(embeddings, task=dataclasses.replace(task, times=1.0))
    assert values(result, "norm") == {pair: 2 * norm for pair, norm in values(once, "norm").items()}
    assert result.timings.keys() == {"align", "join", "measure"}


def test_an_aligner_of_ones_own(loaded, embeddings):
    settings = loaded(ALIGNER).CentredConfig(name="centred", scale=3.0)
    result = measured(embeddings, aligner=settings)
    assert {row.method for row in result.rows} == {"centred"}
    assert values(result, "f1_weighted").keys() == {(s, t) for s in "ab" for t in "ab"}
    assert min(values(result, "f1_weighted").values()) > 0.95


def test_a_decoder_of_ones_own(loaded, embeddings):
    settings = loaded(DECODER).NearestConfig(name="nearest")
    result = measured(embeddings, decoder=settings)
    assert values(result, "f1_weighted")["a", "a"] > 0.9


def test_a_kind_that_exists_keeps_its_function():
    with pytest.raises(ValueError, match="kind=stitching exists already"):
        TASKS.register("stitching", type("Other", (TaskConfig,), {}))(lambda work, aligners: None)
    assert TASKS.functions["stitching"] == "relrep_exp.tasks.stitching:stitching"


@pytest.mark.parametrize("registry", [TASKS, ALIGNERS, DECODERS])
def test_every_kind_of_the_configuration_has_a_function(registry):
    assert registry.functions.keys() == registry.kinds.keys()
    assert all(callable(registry[kind]) for kind in registry.kinds)
