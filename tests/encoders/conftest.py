"""What the tests of text encoders share: a checkpoint of each family, and transformers at its loudest."""

import shutil
import sys

import pytest
import tiny_text
import transformers


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """A folder with a checkpoint of each family."""
    transformers.utils.logging.disable_progress_bar()
    root = tmp_path_factory.mktemp("checkpoints")
    for family in tiny_text.FAMILIES:
        tiny_text.save(family, root / family)
    return root


@pytest.fixture
def copy(checkpoints, tmp_path):
    """A function that copies a family's checkpoint into a folder that a test may spoil."""
    return lambda family: shutil.copytree(checkpoints / family, tmp_path / family)


@pytest.fixture
def loud(monkeypatch):
    """transformers as it is in a terminal: bars and warnings, and not where an earlier test had stderr."""
    noise = transformers.utils.logging
    monkeypatch.setattr(noise.logging.getLogger("transformers").handlers[0], "stream", sys.stderr)
    noise.enable_progress_bar()
    yield
    noise.disable_progress_bar()
