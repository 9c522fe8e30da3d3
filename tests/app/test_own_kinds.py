"""A kind of one's own is one file: registered by `plugins=[FILE]`, or found in its room by its name."""

import sys

import pytest

import relrep_exp.tasks

TOYS = '''
from dataclasses import dataclass
from typing import ClassVar

import torch

import relrep_exp
from relrep_exp.alignment.aligner import AbsoluteAligner
from relrep_exp.config.schema import TaskConfig
from relrep_exp.data.samples import Samples, View
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.tasks.work import Result


@dataclass(frozen=True)
class CountingData:
    """Numbers, odd or even."""

    kind: str = "counting"
    name: str = "counting"
    rows: int = 40
    holds: ClassVar[tuple[str, ...]] = ("points",)
    param_batch: int | None = None


@relrep_exp.data_source("counting", CountingData)
class Counting:
    def identity(self, config, views, offline):
        return {view: {"rows": config.rows} for view in views}

    def load(self, config, views, offline):
        numbers = torch.arange(config.rows)
        view = View(numbers.tolist(), numbers < config.rows // 2, numbers % 2)
        return Samples(dict.fromkeys(views, view), parallel=True)


@dataclass(frozen=True)
class WaveZoo:
    """Encoders that are waves of some lengths."""

    kind: str = "waves"
    name: str = "waves"
    lengths: tuple[float, float] = (2.0, 3.0)
    views: ClassVar[tuple[str, ...]] = ("point",)

    @property
    def encoders(self):
        return {f"wave{number}": length for number, length in enumerate(self.lengths)}


class Wave(Encoder):
    dim = 3

    def __init__(self, length):
        super().__init__()
        self.length = length

    def prepare(self, samples):
        return torch.tensor(samples, dtype=torch.float32)

    def forward(self, inputs):
        phase = 2 * torch.pi * inputs / self.length
        return torch.stack([phase.sin(), phase.cos(), (inputs % 2)], dim=1)


class WaveSource(EncoderSource):
    view = "point"

    def __init__(self, length):
        self.length = length

    def identity(self):
        return {"wave": self.length}

    def loader(source, training):
        return Wave(source.length)


@relrep_exp.zoo_kind("waves", WaveZoo)
def waves(zoo, data, config):
    return {name: WaveSource(length) for name, length in zoo.encoders.items()}


@dataclass(frozen=True)
class SameConfig:
    """Every space is taken for the same."""

    name: str = "same"
    factor: float = 1.0


@relrep_exp.aligner("same", SameConfig)
def same(work):
    class Same(AbsoluteAligner):
        method = "same"

        def carry(self, x, source, target):
            return x * work.config.aligner.factor

        def carries(self, source, target):
            return True

    return Same


@dataclass(frozen=True)
class NearestConfig:
    """The class of the nearest training sample."""

    name: str = "nearest"
    draws: ClassVar[bool] = False


@relrep_exp.decoder("nearest", NearestConfig)
def nearest(work):
    class Nearest:
        def __init__(self, x, y):
            self.x, self.y = x, y

        def predict(self, x):
            return self.y[torch.cdist(x, self.x).argmin(1)]

    return lambda jobs, classes: [Nearest(job.x, job.y) for job in jobs]


@dataclass(frozen=True)
class WidthTask(TaskConfig):
    """How wide an encoder is."""

    name: str = "width"
    kind: str = "width"
    times: int = 1


@relrep_exp.task("width", WidthTask)
def width(work, aligners):
    result = Result()
    for name, space in work.train.items():
        result.add(name, name, "width", {"width": float(space.x.shape[1] * work.config.task.times)})
    return result
'''


@pytest.fixture
def toys(tmp_path, outputs):
    """Words that load the file."""
    file = tmp_path / "toys.py"
    file.write_text(TOYS)
    yield [f"plugins=[{file}]", "logger=none", f"paths.outputs={outputs}"]
    forget()


def forget():
    """Another file may register kinds of these names."""
    for group in relrep_exp.config.schema.GROUPS.values():
        for kind in ("counting", "waves", "same", "nearest", "width", "roomy"):
            group.pop(kind, None)


def test_one_file_brings_a_kind_of_everything(told, toys, outputs, record):
    code, _, err = told(*toys, "data=counting", "zoo=waves", "aligner=same", "decoder=nearest")
    assert (code, err) == (0, "")
    kept = record()
    assert kept.method == "same" and set(kept.config["encoders"]) == {"wave0", "wave1"}
    assert kept.config["data"]["point"] == {"rows": 40} and kept.config["decoder"] == {"name": "nearest"}
    f1 = {(row.source, row.target): row.value for row in kept.rows if row.metric == "f1_weighted"}
    assert len(f1) == 4 and f1["wave0", "wave0"] == 1.0
    assert set(kept.config["plugins"]) == {"data", "zoo", "aligner", "decoder"}  # their code is in the key


def test_a_task_of_ones_own_has_keys_of_its_own(told, toys, record):
    words = [*toys, "task=width", "data=counting", "zoo=waves", "aligner=absolute", "task.times=2"]
    code, _, err = told(*words)
    assert (code, err) == (0, "")
    assert {row.source: row.value for row in record().rows} == {"wave0": 6.0, "wave1": 6.0}
    code, _, err = told(*words, "task.timse=2")
    assert code == 2 and "did you mean task.times" in err
    code, _, err = told(*words, "task.times=two")
    assert code == 2 and "task.times='two'" in err


def test_a_file_in_its_room_is_found_by_its_name(told, words, tmp_path, monkeypatch):
    """No table names it: a file of the kind's name, and a configuration that chooses it."""
    (tmp_path / "roomy.py").write_text(TOYS.replace('"width"', '"roomy"').replace('"width', '"roomy'))
    monkeypatch.setattr(relrep_exp.tasks, "__path__", [*relrep_exp.tasks.__path__, str(tmp_path)])
    sys.modules.pop("relrep_exp.tasks.roomy", None)
    code, _, err = told(*words, "task.kind=roomy", "aligner=absolute")
    assert (code, err) == (0, "")
    code, _, err = told(*words, "task.kind=romy")
    assert code == 2 and "task.kind=romy: no such kind" in err and "did you mean roomy" in err
    forget()
