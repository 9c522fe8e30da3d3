"""What a plan has done, has to do and lacks, and how long it will take: told without starting anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from relrep_exp.app.plan import Part, Run, distinct
from relrep_exp.app.shared_work import Reuse, reuse
from relrep_exp.data.hub.prefetch import merged
from relrep_exp.errors import Problem, UserError
from relrep_exp.store.keys import canonical_json
from relrep_exp.store.records import RecordStore
from relrep_exp.tasks.identity import method_name

if TYPE_CHECKING:
    from relrep_exp.data.hub import Repo


@dataclass(frozen=True)
class Estimate:
    """How long a run's computation will take.

    Attributes:
        seconds: the mean of earlier runs.
        keys: the records that it rests on.
    """

    seconds: float
    keys: frozenset[str]


@dataclass(frozen=True)
class Expected:
    """One run as it stands.

    Attributes:
        run: which one.
        done: whether it has its record.
        repos: of the hub, that it needs and that are not here.
        problems: with what else it needs.
        estimate: None where no earlier run is like it.
    """

    run: Run
    done: bool
    repos: tuple[Repo, ...] = ()
    problems: tuple[Problem, ...] = ()
    estimate: Estimate | None = None

    @property
    def lacks(self) -> bool:
        """Whether it cannot be run as things are."""
        return bool(self.repos or self.problems)


@dataclass(frozen=True)
class Outlook:
    """A plan as it stands.

    Attributes:
        parts: the plan; each part with its runs, in order.
        runs: each run once.
        words: the command line, without what only says how.
        sweep: whether values in it are swept over, -m.
        reuse: what the runs that are left share.
    """

    parts: Sequence[tuple[Part, Sequence[Expected]]]
    runs: Sequence[Expected]
    words: Sequence[str]
    sweep: bool = False
    reuse: Sequence[Reuse] = ()

    @property
    def left(self) -> list[Expected]:
        """The runs that have no record."""
        return [one for one in self.runs if not one.done]

    @property
    def repos(self) -> list[Repo]:
        """What is missing of the hub, each repository once."""
        return merged(repo for one in self.runs for repo in one.repos)

    @property
    def problems(self) -> list[Problem]:
        """What else is missing."""
        return list(dict.fromkeys(problem for one in self.runs for problem in one.problems))


def look_ahead(parts: Sequence[Part], words: Sequence[str], sweep: bool = False) -> Outlook:
    """How a plan stands. Nothing is written, loaded or asked of the network.

    Raises:
        UserError: something in it does not go together, whatever there is.
    """
    parts = [replace(part, runs=tuple(map(_offline, part.runs))) for part in parts]
    runs = distinct(run for part in parts for run in part.runs)
    if unfit := [problem for run in runs for problem in (*run.request.unfit, *run.request.odd)]:
        raise UserError(dict.fromkeys(unfit))
    earlier = {root: RecordStore(root).parsed() for root in {run.store.root for run in runs}}
    pace = Pace(one for found in earlier.values() for one in found.values())
    lacking = _Lacking(run for run in runs if not _done(run, earlier))
    stand = {
        run.place: Expected(run, True)
        if _done(run, earlier)
        else Expected(run, False, lacking.repos(run), lacking.problems(run), pace.of(run))
        for run in runs
    }
    whole = [(part, [stand[run.place] for run in part.runs]) for part in parts]
    shared = reuse([run for run in runs if not stand[run.place].done])
    return Outlook(whole, list(stand.values()), words, sweep, shared)


class Pace:
    """How long runs took, by earlier records.

    A run is expected to take the mean time of those that differ from it by the seed alone; or else of those
    with the same task, encoders and method; or else of those with the same task and method. Embeddings are
    made once: of their time the shortest counts.
    """

    def __init__(self, earlier: Iterable[Mapping[str, Any]]):
        """Sort earlier records, parsed as JSON, by what later runs may share with them."""
        self._by: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for one in earlier:
            for likeness in _likenesses(one["task"], one["method"], one["config"]):
                self._by.setdefault(likeness, []).append(one)

    def of(self, run: Run) -> Estimate | None:
        """What a run will take; None where nothing is known."""
        known = run.known_key is not None
        likenesses = _likenesses(
            run.config.task.name, method_name(run.config), run.request.identity if known else None
        )
        alike = next((self._by[likeness] for likeness in likenesses if likeness in self._by), None)
        if alike is None:
            return None
        taken = [{phase: seconds or 0.0 for phase, seconds in one["timings"].items()} for one in alike]
        embed = [phases.pop("embed", 0.0) for phases in taken]
        seconds = fmean(sum(phases.values()) for phases in taken) + min(embed)
        return Estimate(seconds, frozenset(one["key"] for one in alike))


class _Lacking:
    """What runs lack, with everything that many of them need asked once."""

    def __init__(self, runs: Iterable[Run]):
        self._wanted = {run.place: run.request.repos for run in runs}
        self._absent: set[Repo] = set()
        if wanted := list(dict.fromkeys(repo for repos in self._wanted.values() for repo in repos)):
            from relrep_exp.data import hub

            self._absent = set(hub.check(wanted, offline=True))
        self._own: dict[str, tuple[Problem, ...]] = {}

    def repos(self, run: Run) -> tuple[Repo, ...]:
        """What is not here of what it needs of the hub."""
        return tuple(repo for repo in self._wanted[run.place] if repo in self._absent)

    def problems(self, run: Run) -> tuple[Problem, ...]:
        """What is wrong with what else it reads."""
        config = run.config
        reads = repr((config.data, config.parallel, config.zoo))
        if reads not in self._own:
            self._own[reads] = tuple(run.request.own_problems()) if self.repos(run) else _key_problems(run)
        return self._own[reads]


def _key_problems(run: Run) -> tuple[Problem, ...]:
    try:
        _ = run.key
    except UserError as error:
        return tuple(error.problems)
    return ()


def _offline(run: Run) -> Run:
    """The same run, kept from the network."""
    return replace(run, config=replace(run.config, runtime=replace(run.config.runtime, offline=True)))


def _done(run: Run, earlier: Mapping[Path, Mapping[str, Any]]) -> bool:
    """Whether its record is there and may stand."""
    return run.config.overwrite != "always" and run.known_key in earlier[run.store.root]


def _likenesses(task: str, method: str, identity: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    """What earlier runs may share with a run, the most telling first."""
    alike: list[tuple[str, ...]] = [("method", task, method)]
    if identity is None:
        return alike
    but_seed = canonical_json({name: value for name, value in identity.items() if name != "seed"})
    encoders = canonical_json(identity.get("encoders"))
    return [("all", task, but_seed), ("encoders", task, method, encoders), *alike]
