"""Checkpoints of each family, written once in a session, and transformers at its loudest."""

import functools
import shutil
import sys

import pytest
import tiny_text
import tiny_vision
import transformers
from making import HOW


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """A folder with a checkpoint of each family of texts."""
    transformers.utils.logging.disable_progress_bar()
    root = tmp_path_factory.mktemp("checkpoints")
    for family in tiny_text.FAMILIES:
        tiny_text.save(family, root / family)
    return root


@pytest.fixture(scope="session")
def encoder_of(checkpoints):
    """A function that loads a family's checkpoint, once for each settings; tests leave it as it is."""
    return functools.cache(lambda family, **how: tiny_text.source(checkpoints / family, **how).load(HOW))


@pytest.fixture
def copy(checkpoints, tmp_path):
    """A function that copies a family's checkpoint into a folder that a test may spoil."""
    return lambda family: shutil.copytree(checkpoints / family, tmp_path / family)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Model of timm -> the folder of its checkpoint."""
    return tiny_vision.save(tmp_path_factory.mktemp("timm"), tiny_vision.SMALL)


@pytest.fixture(scope="session")
def vision_of(folders):
    """A function that loads a model of timm, once for each settings; tests leave it as it is."""
    return functools.cache(lambda model, **how: tiny_vision.source(folders[model], model, **how).load(HOW))


@pytest.fixture
def loud(monkeypatch):
    """transformers as it is in a terminal: bars and warnings, and not where an earlier test had stderr."""
    noise = transformers.utils.logging
    monkeypatch.setattr(noise.logging.getLogger("transformers").handlers[0], "stream", sys.stderr)
    noise.enable_progress_bar()
    yield
    noise.disable_progress_bar()
