"""Everything that runs need of the hub, downloaded beforehand; what it will take is told first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from relrep_exp.data.hub.access import Status, snapshot, survey
from relrep_exp.data.hub.repo import Repo, cache_folder
from relrep_exp.errors import Problem, UserError
from relrep_exp.store.files import free_bytes

_GB = 1e9


def prefetch(repos: Sequence[Repo], offline: bool, dry_run: bool) -> None:
    """Print what is needed, here and missing, then download; what cannot be had does not hold up the rest.

    Args:
        repos: what is needed.
        offline: whether the network must not be touched; then nothing can be downloaded.
        dry_run: only print.

    Raises:
        UserError: the disk is too small, or everything that could not be had.
    """
    statuses = survey(repos, offline)
    print(table(statuses))
    problems = [status.problem for status in statuses.values() if status.problem is not None]
    missing = [repo for repo, status in statuses.items() if status.missing]
    if missing and not dry_run:
        needed, free = sum(status.missing for status in statuses.values()), free_bytes(cache_folder())
        if needed > free:
            what = f"{_gb(needed)} are to be downloaded, and {cache_folder()} has room for {_gb(free)}"
            raise UserError(Problem(what, "free space, or choose a folder on another disk: HF_HOME=FOLDER"))
        for repo in missing:
            print(f"downloading {repo}", flush=True)
            try:
                snapshot(repo, offline=False)
            except UserError as error:
                problems += error.problems
        done = [status for status in survey(repos, offline=True).values() if status.problem is None]
        size = _gb(sum(status.present for status in done))
        print(f"complete: {len(done)} of {len(statuses)}, {size} in {cache_folder()}")
    if problems:
        raise UserError(dict.fromkeys(problems))


def table(statuses: Mapping[Repo, Status]) -> str:
    """Write a line for each repository, their sum, and the space that there is."""
    names = [f"{repo.kind} {repo.id}" for repo in statuses]
    width = max(map(len, [*names, "total"]))
    lines = [f"{'needed of the hub':{width}}  {'commit':12}  {'here':>9}  {'to download':>12}"]
    for name, status in zip(names, statuses.values(), strict=True):
        missing = _gb(status.missing) if status.problem is None else "see below"
        known = (status.commit or "?")[:12]
        lines.append(f"{name:{width}}  {known:12}  {_gb(status.present):>9}  {missing:>12}")
    present = _gb(sum(status.present for status in statuses.values()))
    to_come = _gb(sum(status.missing for status in statuses.values()))
    if any(status.problem is not None for status in statuses.values()):
        to_come += " + ?"
    lines.append(f"{'total':{width}}  {'':12}  {present:>9}  {to_come:>12}")
    return "\n".join([*lines, f"free: {_gb(free_bytes(cache_folder()))} for {cache_folder()}"])


def _gb(count: int) -> str:
    return f"{count / _GB:.3f} GB"


def merged(found: Iterable[Repo]) -> list[Repo]:
    """Join the needs of several runs: each repository once, with everything that any of them needs of it."""
    joined: dict[tuple[str, str, str | None], Repo] = {}
    for repo in found:
        first = joined.setdefault((repo.kind, repo.id, repo.revision), repo)
        everything = not (first.files and repo.files)  # () is all of it
        files = () if everything else tuple(dict.fromkeys((*first.files, *repo.files)))
        joined[repo.kind, repo.id, repo.revision] = replace(first, files=files)
    return list(joined.values())
