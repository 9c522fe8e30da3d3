"""The hub itself: what it has, and its refusals by their kind. Nothing here repeats what it answers."""

from __future__ import annotations

import errno
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from typing import Literal, TypeVar

from relrep_exp.data.hub import select
from relrep_exp.data.hub.repo import Repo, cache_folder, endpoint

PATIENCE_SECONDS = 10.0

HubErrorKind = Literal[
    "offline", "unreachable", "token", "missing", "revision", "gated", "forbidden", "empty", "disk", "broken"
]

_DISK = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.EEXIST,
)
_SECRET = re.compile(r"hf_\w+|(?<=://)[^/\s@]+@")

K = TypeVar("K")
V = TypeVar("V")


class HubError(Exception):
    """Why something of the hub cannot be had.

    Attributes:
        kind: which of the reasons that need different remedies.
        reason: details in a few words; never a token, nor anything that may hold one.
    """

    def __init__(self, kind: HubErrorKind, reason: str = ""):
        self.kind: HubErrorKind = kind
        self.reason = reason
        super().__init__(kind, reason)


@dataclass(frozen=True)
class Listing:
    """The files of a repository that a run needs.

    Attributes:
        commit: the full commit.
        sizes: the needed files with their sizes in bytes.
    """

    commit: str
    sizes: Mapping[str, int]


def look(repo: Repo, revision: str | None) -> Listing:
    """Ask the hub what it has of what is needed, and whether it may be downloaded.

    Raises:
        HubError: it does not answer, or refuses.
    """
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    with _translated():
        info = HfApi(endpoint=endpoint()).repo_info(
            repo.id, repo_type=repo.kind, revision=revision, files_metadata=True, timeout=PATIENCE_SECONDS
        )
        sizes = {file.rfilename: file.size or 0 for file in getattr(info, "siblings", None) or ()}
        names, lacking = select.wanted(repo, sizes)
        if getattr(info, "gated", False):  # anybody may read what it has, not the files themselves
            name = next(iter(names or sizes), "config.json")
            url = hf_hub_url(repo.id, name, repo_type=repo.kind, revision=info.sha, endpoint=endpoint())
            get_hf_file_metadata(url, timeout=PATIENCE_SECONDS)
    if lacking:
        there = ", ".join(list(sizes)[:8]) + (f" and {len(sizes) - 8} more" if len(sizes) > 8 else "")
        missing = " and no ".join(lacking)
        raise HubError("empty", f"no {missing} among its files: {there or 'it is empty'}")
    return Listing(str(info.sha), {name: sizes[name] for name in names})


def download(repo: Repo, listing: Listing, damaged: Sequence[str]) -> None:
    """Download the needed files into the cache, going on where an earlier attempt broke off.

    Args:
        repo: the repository.
        listing: what is needed of it.
        damaged: needed files that are here and too short or too long; the library would leave them so.

    Raises:
        HubError: it broke off.
    """
    from huggingface_hub import snapshot_download

    try:
        with _translated():
            for names in filter(None, (damaged, list(listing.sizes))):
                snapshot_download(
                    repo.id,
                    repo_type=repo.kind,
                    revision=listing.commit,
                    allow_patterns=[escape(name) for name in names],
                    force_download=names is damaged,
                    cache_dir=cache_folder(),
                    endpoint=endpoint(),
                )
    except RuntimeError as error:  # what the hub's second way of transfer, Xet, raises for any mishap
        raise HubError("broken", _reason(error)) from None


def within(calls: Mapping[K, Callable[[], V]], seconds: float | None = None) -> dict[K, V | HubError]:
    """Run calls at once; whoever has not answered in time is unreachable.

    The threads are daemons: a name server that never answers cannot be interrupted, and must not keep the
    process from ending.
    """
    seconds = PATIENCE_SECONDS if seconds is None else seconds
    results: dict[K, V | BaseException] = {}

    def run(key: K, call: Callable[[], V]) -> None:
        try:
            results[key] = call()
        except BaseException as error:
            results[key] = error

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in calls.items()]
    end = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    silent = HubError("unreachable", f"no answer within {seconds:.0f} s")
    answers: dict[K, V | HubError] = {}
    for key in calls:
        result = results.get(key, silent)
        if isinstance(result, BaseException) and not isinstance(result, HubError):
            raise result  # a defect of ours goes on as what it is
        answers[key] = result
    return answers


@contextmanager
def _translated() -> Iterator[None]:
    """Turns what the hub's library raises into a `HubError`; other errors pass unchanged."""
    from huggingface_hub import errors

    # The HTTP library's base error: httpx or its successor, by the hub library's version.
    transport: type[Exception] = errors.HfHubHTTPError.__bases__[0]
    try:
        yield
    except (OSError, transport, errors.EntryNotFoundError, errors.HFValidationError) as error:
        raise _meaning(error) from None  # its text may quote headers


def _meaning(error: BaseException) -> HubError:
    from huggingface_hub import errors

    kinds: dict[type[BaseException], HubErrorKind] = {  # from the special to the general
        errors.GatedRepoError: "gated",
        errors.RepositoryNotFoundError: "missing",
        errors.HFValidationError: "missing",  # such a name cannot be
        errors.RevisionNotFoundError: "revision",
        errors.DisabledRepoError: "forbidden",
        errors.OfflineModeIsEnabled: "offline",
    }
    for kind, meaning in kinds.items():
        if isinstance(error, kind):
            return HubError(meaning)
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        by_status: dict[int, HubErrorKind] = {401: "token", 403: "forbidden", 404: "missing"}
        if status in by_status:
            return HubError(by_status[status])
        return HubError("unreachable", f"it answered with HTTP status {status}")
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        return _meaning(error.__cause__)
    if isinstance(error, OSError) and error.errno in _DISK:
        return HubError("disk", error.strerror or "it cannot be written")
    return HubError("unreachable", _reason(error))


def _reason(error: BaseException) -> str:
    """The first line of an error of the network, without what may be a secret."""
    lines = str(error).strip().splitlines()
    return _SECRET.sub("***", lines[0])[:200] if lines else type(error).__name__
