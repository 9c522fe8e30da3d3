"""What callers do with the hub: know a commit, have a folder, know beforehand what is missing."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relrep_exp.data.hub import cache, remote
from relrep_exp.data.hub.cache import Local
from relrep_exp.data.hub.problems import problems
from relrep_exp.data.hub.remote import HubError, Listing
from relrep_exp.data.hub.repo import Repo, cache_folder, endpoint, is_offline
from relrep_exp.errors import Problem, UserError

# What this process has been told, so that a branch that moves meanwhile does not split a run in two.
_listings: dict[tuple[str, str, Repo], Listing] = {}
# Which hubs did not answer, and when: a run asks more than once, and need not wait each time.
_silent: dict[str, tuple[float, HubError]] = {}
_SILENT_SECONDS = 30.0


@dataclass(frozen=True)
class Status:
    """How far a repository is here.

    Attributes:
        commit: the full commit; None if it is not known.
        present: needed bytes that are here.
        missing: needed bytes that are to be downloaded; 0 if that is not known.
        problem: why it cannot be used; None if it is here or can be downloaded.
    """

    commit: str | None
    present: int
    missing: int
    problem: Problem | None = None


def commit(repo: Repo, offline: bool) -> str:
    """The full commit of a repository: the pinned one, else the local cache's, else what the hub says.

    Raises:
        UserError: it is not pinned, not here, and the hub does not tell.
    """
    here = repo.revision or cache.branch_commit(repo)
    return here if here is not None else _listing(repo, offline).commit


def snapshot(repo: Repo, offline: bool) -> Path:
    """A local folder with the needed files of a repository; downloaded if they are not here and it may be.

    Raises:
        UserError: they are neither here nor to be had.
    """
    local = cache.find(repo)
    if local.lacking:
        listing = _listing(repo, offline)
        try:
            _download(local, repo, listing)
        except HubError as error:
            raise _error(repo, _interrupted(error)) from None
        local = cache.find(repo)
        if local.lacking:
            raise _error(repo, HubError("broken", f"{', '.join(local.lacking)} did not arrive"))
    return local.folder


def check(repos: Sequence[Repo], offline: bool) -> dict[Repo, Problem]:
    """Everything that keeps repositories from being used, in a few seconds; loads and downloads nothing.

    Problems with one cause are one object, which names all repositories concerned.
    """
    found = survey(repos, offline)
    return {repo: status.problem for repo, status in found.items() if status.problem is not None}


def missing_bytes(repos: Sequence[Repo]) -> dict[Repo, int]:
    """What is still to be downloaded, where that can be known."""
    return {repo: status.missing for repo, status in survey(repos, offline=False).items()}


def survey(repos: Sequence[Repo], offline: bool) -> dict[Repo, Status]:
    """What is here and what is to be had, asked of the hub for all repositories at once."""
    local = {repo: cache.find(repo) for repo in dict.fromkeys(repos)}
    absent = [repo for repo, found in local.items() if found.lacking]
    answers = _ask(absent, offline)
    refused = {repo: answer for repo, answer in answers.items() if isinstance(answer, HubError)}
    told = problems(refused, {repo: found.lacking for repo, found in local.items() if found.sizes})
    statuses = {}
    for repo, found in local.items():
        present, answer = sum(found.sizes.values()), answers.get(repo)
        if isinstance(answer, Listing):
            same = {n for n, size in answer.sizes.items() if found.sizes.get(n) == size}
            missing = sum(size for name, size in answer.sizes.items() if name not in same)
            statuses[repo] = Status(answer.commit, sum(found.sizes[name] for name in same), missing)
        else:
            statuses[repo] = Status(found.commit, present, 0, told.get(repo))
    return statuses


def _listing(repo: Repo, offline: bool) -> Listing:
    answer = _ask([repo], offline)[repo]
    if isinstance(answer, HubError):
        raise _error(repo, answer)
    return answer


def _ask(repos: Sequence[Repo], offline: bool) -> dict[Repo, Listing | HubError]:
    """What the hub has, from memory where this process has asked before."""
    if is_offline(offline):
        return {repo: HubError("offline") for repo in repos}
    known = {repo: _listings[_place(repo)] for repo in repos if _place(repo) in _listings}
    unknown = [repo for repo in repos if repo not in known]
    if (silence := _recent_silence()) is not None:
        return {**known, **dict.fromkeys(unknown, silence)}
    calls = {repo: partial(remote.look, repo, repo.revision or cache.branch_commit(repo)) for repo in unknown}
    answers = remote.within(calls)
    _listings.update({_place(repo): a for repo, a in answers.items() if isinstance(a, Listing)})
    silences = [a for a in answers.values() if isinstance(a, HubError) and a.kind == "unreachable"]
    if silences and len(silences) == len(answers):
        _silent[endpoint()] = time.monotonic(), silences[0]
    return {**known, **answers}


def _recent_silence() -> HubError | None:
    since, silence = _silent.get(endpoint(), (-math.inf, None))
    return silence if time.monotonic() - since < _SILENT_SECONDS else None


def _place(repo: Repo) -> tuple[str, str, Repo]:
    return endpoint(), str(cache_folder()), repo


def _download(local: Local, repo: Repo, listing: Listing) -> None:
    cache.drop_damaged(local)
    remote.download(repo, listing)
    if repo.revision is None:
        cache.note_branch(repo, listing.commit)


def _interrupted(error: HubError) -> HubError:
    """The hub has just answered, so a connection that fails now broke off."""
    return HubError("broken", error.reason) if error.kind == "unreachable" else error


def _error(repo: Repo, error: HubError) -> UserError:
    found = cache.find(repo)
    return UserError(problems({repo: error}, {repo: found.lacking} if found.sizes else {})[repo])
