"""What callers do with the hub: know a commit, have a folder, know beforehand what is missing."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relrep_exp.data.hub import cache, remote
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
    """The state of a repository: what is here of it, and what is to come.

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
    """Find the full commit of a repository: the pinned one, else the local cache's, else what the hub says.

    Raises:
        UserError: it is not pinned, not here, and the hub does not tell.
    """
    here = repo.revision or cache.branch_commit(repo)
    return here if here is not None else _listing(repo, offline).commit


def snapshot(repo: Repo, offline: bool) -> Path:
    """Find a local folder with the needed files; they are downloaded if they are not here and it may be.

    Raises:
        UserError: they are neither here nor to be had.
    """
    local = cache.find(repo)
    if local.lacking:
        listing = _listing(repo, offline)
        try:
            damaged = [name for name in listing.sizes if name in local.lacking and name in local.sizes]
            remote.download(repo, listing, damaged)
            if repo.revision is None:
                cache.note_branch(repo, listing.commit)
        except HubError as error:
            # The hub has just answered, so a connection that fails now broke off.
            broken = HubError("broken", error.reason) if error.kind == "unreachable" else error
            raise _error(repo, broken) from None
        local = cache.find(repo)
        if local.lacking:
            raise _error(repo, HubError("broken", f"{', '.join(local.lacking)} did not arrive"))
    return local.folder


def check(repos: Sequence[Repo], offline: bool) -> dict[Repo, Problem]:
    """Find everything that keeps repositories from being used, in a few seconds; downloads nothing.

    Problems with one cause are one object, which names all repositories concerned.
    """
    found = survey(repos, offline)
    return {repo: status.problem for repo, status in found.items() if status.problem is not None}


def survey(repos: Sequence[Repo], offline: bool) -> dict[Repo, Status]:
    """Tell what is here and what is to be had, asked of the hub for all repositories at once."""
    local = {repo: cache.find(repo) for repo in dict.fromkeys(repos)}
    answers = _ask([repo for repo, found in local.items() if found.lacking], offline)
    refused = {repo: answer for repo, answer in answers.items() if isinstance(answer, HubError)}
    told = problems(refused, {repo: found.lacking for repo, found in local.items() if found.sizes})
    statuses = {}
    for repo, found in local.items():
        answer = answers.get(repo)
        if isinstance(answer, Listing):
            same = sum(size for name, size in answer.sizes.items() if found.sizes.get(name) == size)
            statuses[repo] = Status(answer.commit, same, sum(answer.sizes.values()) - same)
        else:
            statuses[repo] = Status(found.commit, sum(found.sizes.values()), 0, told.get(repo))
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
    hub, folder = endpoint(), str(cache_folder())
    known = {repo: _listings[hub, folder, repo] for repo in repos if (hub, folder, repo) in _listings}
    unknown = [repo for repo in repos if repo not in known]
    since, silence = _silent.get(hub, (-math.inf, None))
    if silence is not None and time.monotonic() - since < _SILENT_SECONDS:
        return {**known, **dict.fromkeys(unknown, silence)}
    answers = remote.within(
        {repo: partial(remote.look, repo, repo.revision or cache.branch_commit(repo)) for repo in unknown}
    )
    for repo, answer in answers.items():
        if isinstance(answer, Listing):
            _listings[hub, folder, repo] = answer
    silences = [a for a in answers.values() if isinstance(a, HubError) and a.kind == "unreachable"]
    if silences and len(silences) == len(answers):
        _silent[hub] = time.monotonic(), silences[0]
    return {**known, **answers}


def _error(repo: Repo, error: HubError) -> UserError:
    found = cache.find(repo)
    return UserError(problems({repo: error}, {repo: found.lacking} if found.sizes else {})[repo])
