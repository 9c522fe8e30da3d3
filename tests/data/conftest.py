"""What tests of data share."""

import pytest


@pytest.fixture
def arrow_cache(tmp_path, monkeypatch):
    """Where `datasets` keeps its Arrow files."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "arrow")
