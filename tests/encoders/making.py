"""What makes and loads the encoders of tests: the part of a run's configuration that they look at."""

from types import SimpleNamespace

from relrep_exp.config.schema import RuntimeConfig
from relrep_exp.data.sources import Dataset
from relrep_exp.training.device import Training

HOW = Training()


def asked(outputs="outputs", **runtime):
    paths = SimpleNamespace(outputs=str(outputs))
    return SimpleNamespace(runtime=RuntimeConfig(**{"offline": True, **runtime}), paths=paths)


def dataset(config):
    return Dataset(config, offline=True)
