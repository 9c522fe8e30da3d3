"""What makes and loads the encoders of tests: the part of a run's configuration that they look at."""

import shutil
from types import SimpleNamespace

import pytest
import torch

from relrep_exp.config.schema import RuntimeConfig
from relrep_exp.data.samples import Samples, View
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.zoo import ENCODERS
from relrep_exp.errors import UserError
from relrep_exp.training.device import Training

HOW = Training()


def asked(outputs="outputs", **runtime):
    paths = SimpleNamespace(outputs=str(outputs))
    return SimpleNamespace(runtime=RuntimeConfig(**{"offline": True, **runtime}), paths=paths)


def sources(zoo, data=None, outputs="outputs", **runtime):
    """The sources of a zoo by name; the data are a dataset or its settings."""
    data = data if data is None or isinstance(data, Dataset) else Dataset(data, offline=True)
    return ENCODERS[zoo.kind](zoo, data, asked(outputs, **runtime))


class Changed(Dataset):
    """Data whose samples are others than it says; keeps what it was asked for."""

    def __init__(self, config, samples):
        super().__init__(config, True)
        self.samples, self.asked = samples, []

    def load(self, views):
        self.asked.append(tuple(views))
        return self.samples


def one_text_changed(samples, language, train, text="Something 完全 entirely different"):
    """The same samples, but for one text of one language and split."""
    view = samples.views[language]
    row = int((view.is_train == train).nonzero()[0])
    texts = [text if number == row else old for number, old in enumerate(view.samples)]
    return Samples({**samples.views, language: View(texts, view.is_train, view.labels)}, parallel=True)


# language, whether of the training split, whether an encoder of English may notice
TEXTS_CHANGED = [("en", False, False), ("zh", True, False), ("en", True, True)]


def encode(encoder, samples):
    with torch.inference_mode():
        return encoder(encoder.prepare(samples))


def told(act, *given):
    """The problems that the user is told; each has a remedy."""
    with pytest.raises(UserError) as caught:
        act(*given)
    assert all(problem.what and problem.remedy for problem in caught.value.problems)
    return caught.value.problems


def publish(folder, cache, repo, commit):
    """Lay a checkpoint out as the hub's client keeps it: refs/main, and links to blobs under its commit."""
    root = cache / f"models--{repo.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    for made in (snapshot, root / "blobs", root / "refs"):
        made.mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    for number, path in enumerate(folder.iterdir()):
        shutil.copy(path, root / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
