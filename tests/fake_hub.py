"""A hub on 127.0.0.1 with the requests that huggingface_hub makes for information and for downloads."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

TOKEN = "hf_thisIsAccepted"
COMMIT = "1f" * 20


@dataclass
class FakeRepo:
    """What the hub has under a name. `gated` files need TOKEN."""

    files: dict[str, bytes]
    commit: str = COMMIT
    gated: bool = False
    past: tuple[str, ...] = ()


def point_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Take a server for the real hub."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


class FakeHub:
    """The server; a context manager.

    Attributes:
        repos: "models/owner/name" or "datasets/owner/name" -> what is there.
        requests: method and path of all requests so far.
        break_after: close the connection after so many bytes of any file; None: never.
        status: answer every request with this; None: as usual.
    """

    def __init__(self, repos: dict[str, FakeRepo]):
        self.repos = repos
        self.requests: list[str] = []
        self.break_after: int | None = None
        self.status: int | None = None
        self.stopped = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No longer answer: the port refuses connections, and open ones are closed."""
        self.stopped = True
        self._server.shutdown()
        self._server.server_close()

    def move(self, name: str, commit: str) -> None:
        """A commit that changes no file."""
        repo = self.repos[name]
        repo.past, repo.commit = (*repo.past, repo.commit), commit

    def downloads(self) -> list[str]:
        """The files that were asked for, in order."""
        found = (re.fullmatch(r"GET /.+/resolve/[^/]+/(.+)", request) for request in self.requests)
        return [match[1] for match in found if match]


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve(body=True)

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self, body: bool) -> None:
        if self.hub.stopped:
            self.close_connection = True
            return None
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.status is not None:
            return self._answer(self.hub.status, b"no", body)
        if match := re.fullmatch(r"/api/(models|datasets)/(.+?)(?:/(revision|tree)/([^/]+))?", path):
            kind, name, what, revision = match.groups()
            return self._repo(f"{kind}/{name}", revision, body, self._tree if what == "tree" else self._info)
        if match := re.fullmatch(r"/(datasets/)?(.+?)/resolve/([^/]+)/(.+)", path):
            kind, name, revision, file = match.groups()
            return self._repo(f"{kind or 'models/'}{name}", revision, body, self._file(file))
        return self._answer(404, b"", body)

    def _repo(self, name: str, revision: str | None, body: bool, serve: Any) -> None:
        repo = self.hub.repos.get(name)
        if repo is None:
            return self._refuse(404, "RepoNotFound", body)
        if revision not in (None, "main", repo.commit, *repo.past):
            return self._refuse(404, "RevisionNotFound", body)
        asked = repo if revision in (None, "main") else replace(repo, commit=revision)
        return serve(asked, name.split("/", 1)[1], body)

    def _info(self, repo: FakeRepo, name: str, body: bool) -> None:
        siblings = [{"rfilename": f, "size": len(c), "blobId": _etag(c)} for f, c in repo.files.items()]
        gated = "manual" if repo.gated else False
        info = {"_id": "0", "id": name, "sha": repo.commit, "gated": gated, "siblings": siblings}
        self._answer(200, json.dumps(info).encode(), body)

    def _tree(self, repo: FakeRepo, name: str, body: bool) -> None:
        files = [{"type": "file", "path": f, "size": len(c), "oid": _etag(c)} for f, c in repo.files.items()]
        self._answer(200, json.dumps(files).encode(), body)

    def _file(self, file: str) -> Any:
        def serve(repo: FakeRepo, name: str, body: bool) -> None:
            if repo.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._refuse(403, "GatedRepo", body)
            if file not in repo.files:
                return self._refuse(404, "EntryNotFound", body)
            return self._content(repo.files[file], repo.commit, body)

        return serve

    def _content(self, content: bytes, commit: str, body: bool) -> None:
        start = int((re.findall(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0])[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{_etag(content)}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if body:
            stop = None if self.hub.break_after is None else start + self.hub.break_after
            self.wfile.write(content[start:stop])
            self.close_connection = stop is not None

    def _refuse(self, status: int, code: str, body: bool) -> None:
        self._answer(status, json.dumps({"error": code}).encode(), body, {"X-Error-Code": code})

    def _answer(self, status: int, content: bytes, body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


Serve = Callable[..., FakeHub]
