"""What a user is told about the hub: what is missing, why, and every way to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relrep_exp.data.hub.remote import HubError
from relrep_exp.data.hub.repo import Repo, cache_folder, endpoint
from relrep_exp.errors import Problem

_GAP = "\n       "  # below the arrow of a remedy
_TOKEN = "`hf auth login`, or the environment's HF_TOKEN"


def problems(
    errors: Mapping[Repo, HubError], lacking: Mapping[Repo, Sequence[str]] | None = None
) -> dict[Repo, Problem]:
    """Tell each error as a problem; those of one cause share one, so that the advice is given once.

    Args:
        errors: why each cannot be had.
        lacking: what is missing of those that are here in part.
    """
    found: dict[Repo, Problem] = {}
    for kind in ("offline", "unreachable", "token", "disk"):
        group = {repo: error for repo, error in errors.items() if error.kind == kind}
        found |= dict.fromkeys(group, _shared(group, lacking or {})) if group else {}
    found |= {repo: _own(repo, error) for repo, error in errors.items() if repo not in found}
    return {repo: found[repo] for repo in errors}


def pin(repo: Repo, commit: str) -> str:
    """Write the override that holds a repository at a commit."""
    return f"{repo.key or 'KEY'}.revision={commit}"


def _shared(errors: Mapping[Repo, HubError], lacking: Mapping[Repo, Sequence[str]]) -> Problem:
    first = next(iter(errors.values()))
    names = "".join(f"\n      {repo}{_state(repo, lacking.get(repo, ()))}" for repo in errors)
    if first.kind == "disk":
        what = f"cannot write into the hub's cache, {cache_folder()}: {first.reason}; it is needed for{names}"
        return Problem(what, "free space or make it writable, or choose another folder: HF_HOME=FOLDER")
    if first.kind == "token":
        what = f"{endpoint()} refuses the token that is set here; it was asked for{names}"
        return Problem(what, f"renew it ({_TOKEN}), or remove it: public repositories need none")
    why = {
        "offline": "the network may not be used (runtime.offline=true or HF_HUB_OFFLINE=1)",
        "unreachable": f"{endpoint()} cannot be reached ({first.reason})",
    }[first.kind]
    what = f"not in the hub's cache, {cache_folder()}, and {why}:{names}"
    return Problem(what, _GAP.join(_ways(list(errors), first.kind == "offline")))


def _ways(repos: Sequence[Repo], offline: bool) -> list[str]:
    """From the nearest remedy to the farthest."""
    online = "allow it: runtime.offline=false, HF_HUB_OFFLINE unset" if offline else "mend the connection"
    ways = [
        f"{online} (behind a proxy: HTTPS_PROXY; with a mirror: HF_ENDPOINT), and run this again",
        "or run python scripts/prefetch.py with the same arguments on a machine that is connected, and copy",
        f"   its cache to {cache_folder()} here (HF_HOME=FOLDER chooses another place, FOLDER/hub)",
        f"or use files of your own: {' '.join(_own_files(repos))}",
    ]
    if any(repo.kind == "model" for repo in repos):
        ways.append("or leave out the encoders that are missing, if two are left: zoo.skip_missing=true")
    return [*ways, "or start with what needs no download: python run.py task=digits_stitch"]


def _own_files(repos: Sequence[Repo]) -> list[str]:
    """The overrides that put a local folder in a repository's place, one example of each kind."""
    examples: dict[str, str] = {}
    for repo in repos:
        if repo.kind == "model":
            examples.setdefault("model", f"{repo.key or 'KEY'}.path=FOLDER")
        else:
            examples.setdefault(repo.key, f"{repo.key or 'KEY'}.root=FOLDER")
    return list(examples.values())


def _own(repo: Repo, error: HubError) -> Problem:
    local = _own_files([repo])[0]
    what, remedy = {
        "missing": (
            f"there is no {repo} at {endpoint()}, or it is private",
            f"check its name at {repo.url}; for a private one give a token ({_TOKEN}){_timm(repo)}",
        ),
        "gated": (
            f"{repo} is gated: its owner asks you to accept a licence first",
            f"open {repo.url}, accept, then give the token of that account ({_TOKEN})",
        ),
        "forbidden": (
            f"{endpoint()} does not give {repo} to you",
            f"see {repo.url} for what it takes; a token: {_TOKEN}",
        ),
        "revision": (
            f"{repo} has no commit {repo.revision or 'on its default branch'}",
            f"take one from {repo.url}/commits/main, or the newest: {repo.key or 'KEY'}.revision=null",
        ),
        "empty": (f"{repo} cannot be used: {error.reason}", f"choose another repository, or {local}"),
        "broken": (
            f"the download of {repo} broke off: {error.reason}",
            "run the same command again: what has come is kept, and it goes on from there",
        ),
    }[error.kind]
    return Problem(what, remedy + _alternative(repo, error, local))


def _alternative(repo: Repo, error: HubError, local: str) -> str:
    if error.kind in ("empty", "broken"):
        return ""
    skip = ", or leave it out: zoo.skip_missing=true" if repo.kind == "model" else ""
    return f"{_GAP}or use files of your own: {local}{skip}"


def _timm(repo: Repo) -> str:
    """A frequent slip: a name without the tag that says which weights."""
    owner, _, name = repo.id.partition("/")
    tagless = owner == "timm" and "." not in name
    return f"{_GAP}a timm name has a tag, as in vit_small_patch16_224.augreg_in21k_ft_in1k" if tagless else ""


def _state(repo: Repo, lacking: Sequence[str]) -> str:
    commit = f" at {repo.revision[:12]}" if repo.revision else ""
    more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    return commit + (f": here but for {', '.join(lacking[:3])}{more}" if lacking else "")
