"""A hub on 127.0.0.1 in the place of the real one, with an empty cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import FakeHub, FakeRepo, Serve, point_to
from huggingface_hub import constants
from huggingface_hub.utils import close_session, disable_progress_bars, enable_progress_bars

from relrep_exp.data.hub import access


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a hub with repositories by the names models_NAME and datasets_NAME of owner/NAME."""
    hubs: list[FakeHub] = []

    def start(**repos: FakeRepo) -> FakeHub:
        hubs.append(FakeHub({name.replace("_", "/owner/", 1): repo for name, repo in repos.items()}))
        point_to(monkeypatch, hubs[-1].__enter__().url)
        return hubs[-1]

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    access._listings.clear()
    close_session()  # of another test's proxies and hub
    disable_progress_bars()
    yield start
    enable_progress_bars()
    close_session()
    for running in hubs:
        if not running.stopped:
            running.stop()
