"""Pretrained encoders that are not there: dropped only where the user says so, and then named."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from relrep_exp.config.schema import Config, MixedZoo, PrecomputedZoo, TimmZoo, TransformersZoo
from relrep_exp.encoders.pretrained import models
from relrep_exp.errors import Problem, user_error


def present(config: Config) -> list[str]:
    """The zoo's encoders that can be had: with `zoo.skip_missing` all but those that are missing.

    Raises:
        UserError: fewer than two are left.
    """
    zoo = config.zoo
    assert not isinstance(zoo, PrecomputedZoo), "the file of precomputed embeddings says which there are"
    missing = missing_encoders(config)
    left = [name for name in zoo.encoders if name not in missing]
    if missing and len(left) < 2:
        what = f"zoo.skip_missing=true leaves {len(left)} of {len(zoo.encoders)} encoders"
        raise user_error(what, "get at least two of them: python scripts/prefetch.py with the same arguments")
    return left


def missing_encoders(config: Config) -> dict[str, Problem]:
    """The encoders that the user allowed to be dropped and that are missing, each with what is wrong."""
    zoo = config.zoo
    if not isinstance(zoo, TimmZoo | TransformersZoo | MixedZoo) or not zoo.skip_missing:
        return {}
    repos = models(config)
    found = _checked(tuple(repos.values()), config.runtime.offline)
    return {name: found[repo] for name, repo in repos.items() if repo in found}


def notes(config: Config) -> dict[str, Any]:
    """What a record says of the encoders that were dropped."""
    skipped = {name: problem.what for name, problem in missing_encoders(config).items()}
    return {"skipped_encoders": skipped} if skipped else {}


@lru_cache(maxsize=8)
def _checked(repos: Any, offline: bool) -> dict[Any, Problem]:
    """Asked once in a process: the zoo of a run must not change while it runs."""
    from relrep_exp.data import hub

    return dict(hub.check(list(repos), offline))
