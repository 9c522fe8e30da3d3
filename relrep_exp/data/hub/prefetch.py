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
        _require_space(sum(status.missing for status in statuses.values()))
        problems += _download(missing)
        print(_summary(survey(repos, offline=True)))
    if problems:
        raise UserError(dict.fromkeys(problems))


def table(statuses: Mapping[Repo, Status]) -> str:
    """One line for each repository, their sum, and the space that there is."""
    names = [f"{repo.kind} {repo.id}" for repo in statuses]
    width = max(map(len, [*names, "total"]))
    lines = [f"{'needed of the hub':{width}}  {'commit':12}  {'here':>9}  {'to download':>12}"]
    lines += [_line(name, status, width) for name, status in zip(names, statuses.values(), strict=True)]
    present, missing = (sum(getattr(s, part) for s in statuses.values()) for part in ("present", "missing"))
    unknown = any(status.problem is not None for status in statuses.values())
    to_come = f"{_gb(missing)} + ?" if unknown else _gb(missing)
    lines.append(f"{'total':{width}}  {'':12}  {_gb(present):>9}  {to_come:>12}")
    return "\n".join([*lines, f"free: {_gb(free_bytes(cache_folder()))} for {cache_folder()}"])


def _line(name: str, status: Status, width: int) -> str:
    missing = _gb(status.missing) if status.problem is None else "see below"
    return f"{name:{width}}  {(status.commit or '?')[:12]:12}  {_gb(status.present):>9}  {missing:>12}"


def _summary(statuses: Mapping[Repo, Status]) -> str:
    done = [status for status in statuses.values() if status.problem is None]
    size = _gb(sum(status.present for status in done))
    return f"complete: {len(done)} of {len(statuses)}, {size} in {cache_folder()}"


def _download(repos: Sequence[Repo]) -> list[Problem]:
    problems = []
    for repo in repos:
        print(f"downloading {repo}", flush=True)
        try:
            snapshot(repo, offline=False)
        except UserError as error:
            problems += error.problems
    return problems


def _require_space(needed: int) -> None:
    if needed > (free := free_bytes(cache_folder())):
        what = f"{_gb(needed)} are to be downloaded, and {cache_folder()} has room for {_gb(free)}"
        raise UserError(Problem(what, "free space, or choose a folder on another disk: HF_HOME=FOLDER"))


def _gb(count: int) -> str:
    return f"{count / _GB:.3f} GB"


def merged(found: Iterable[Repo]) -> list[Repo]:
    """The needs of several runs, each repository once, with everything that any of them needs of it."""
    groups: dict[tuple[str, str, str | None], list[Repo]] = {}
    for repo in found:
        groups.setdefault((repo.kind, repo.id, repo.revision), []).append(repo)
    return [_union(group) for group in groups.values()]


def _union(group: Sequence[Repo]) -> Repo:
    """One repository of several needs of it; () is everything."""
    everything = any(not repo.files for repo in group)
    files = () if everything else tuple(dict.fromkeys(name for repo in group for name in repo.files))
    return replace(group[0], files=files)
