"""What a plan has done, lacks and shares, and how long it will take: nothing is started or loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from relrep_exp.app.plan import Part, Run, distinct
from relrep_exp.app.request import Request
from relrep_exp.config.schema import Config, ParamAnchors, PrecomputedZoo, RelativeConfig, SingleParamAnchors
from relrep_exp.data import hub
from relrep_exp.errors import Problem, UserError
from relrep_exp.store.inputs import Unreadable
from relrep_exp.store.keys import canonical_json, content_key
from relrep_exp.store.once import MANIFEST
from relrep_exp.store.records import RecordStore
from relrep_exp.tasks.identity import STATISTICS, method_name, param_identity, statistics_identity

if TYPE_CHECKING:
    from relrep_exp.data.hub import Repo

EMBEDDINGS, PARAM = "embeddings", "checkpoints"  # folders of the outputs, as STATISTICS is


class Estimate(NamedTuple):
    """The time that a run's computation will take.

    Attributes:
        seconds: the mean of earlier runs.
        keys: the records that it rests on.
    """

    seconds: float
    keys: frozenset[str]


@dataclass(frozen=True)
class Expected:
    """A run as it stands.

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


@dataclass
class Reuse:
    """A kind of thing that is kept, and which of them runs need.

    Attributes:
        kind: the folder of the outputs that it is kept in.
        places: where each of them is kept, or will be; whether what is there may be used.
        runs: how many runs need one.
    """

    kind: str
    places: dict[Path, bool] = field(default_factory=dict)
    runs: int = 0

    @property
    def there(self) -> int:
        """How many are there already."""
        return sum(usable and (place / MANIFEST).is_file() for place, usable in self.places.items())


@dataclass(frozen=True)
class Outlook:
    """A plan as it stands.

    Attributes:
        parts: the plan; each part with its runs, in order.
        runs: each run once.
        reuse: what the runs that are left share.
    """

    parts: Sequence[tuple[Part, Sequence[Expected]]]
    runs: Sequence[Expected]
    reuse: Sequence[Reuse] = ()

    @property
    def left(self) -> list[Expected]:
        """The runs that have no record."""
        return [one for one in self.runs if not one.done]


def look_ahead(parts: Sequence[Part]) -> Outlook:
    """See how a plan stands. Nothing is written, loaded or asked of the network.

    Raises:
        UserError: something in it does not go together, whatever there is, or a file that is there cannot
            be read.
    """
    parts = [replace(part, runs=tuple(map(_offline, part.runs))) for part in parts]
    runs = distinct(run for part in parts for run in part.runs)
    if unfit := [problem for run in runs for problem in (*run.request.unfit, *run.request.odd)]:
        raise UserError(dict.fromkeys(unfit))
    earlier = {root: RecordStore(root).parsed() for root in {run.store.root for run in runs}}
    pace = Pace(one for found in earlier.values() for one in found.values())
    left = [r for r in runs if r.config.overwrite == "always" or r.known_key not in earlier[r.store.root]]
    wanted = list(dict.fromkeys(repo for run in left for repo in run.request.repos))
    absent = set(hub.check(wanted, offline=True)) if wanted else set()
    stand = {run.place: Expected(run, True) for run in runs}
    lacking: dict[str, tuple[Problem, ...]] = {}  # what many runs read is looked at once
    for run in left:
        config, repos = run.config, tuple(repo for repo in run.request.repos if repo in absent)
        reads = repr((config.data, config.parallel, config.zoo))
        if reads not in lacking:
            lacking[reads] = tuple(run.request.own_problems() if repos else _key_problems(run))
        stand[run.place] = Expected(run, False, repos, lacking[reads], pace.of(run))
    if broken := [p for found in lacking.values() for p in found if isinstance(p, Unreadable)]:
        raise UserError(dict.fromkeys(broken))
    whole = [(part, [stand[run.place] for run in part.runs]) for part in parts]
    return Outlook(whole, list(stand.values()), reuse(left))


def _offline(run: Run) -> Run:
    """Keep the run from the network."""
    return replace(run, config=replace(run.config, runtime=replace(run.config.runtime, offline=True)))


def _key_problems(run: Run) -> list[Problem]:
    try:
        _ = run.key
    except UserError as error:
        return error.problems
    return []


class Pace:
    """The time that runs take, by earlier records.

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
        """Estimate what a run will take; None where nothing is known."""
        identity = run.request.identity if run.known_key is not None else None
        likenesses = _likenesses(run.config.task.name, method_name(run.config), identity)
        alike = next((self._by[likeness] for likeness in likenesses if likeness in self._by), None)
        if alike is None:
            return None
        taken = [{phase: seconds or 0.0 for phase, seconds in one["timings"].items()} for one in alike]
        embed = [phases.pop("embed", 0.0) for phases in taken]
        seconds = fmean(sum(phases.values()) for phases in taken) + min(embed)
        return Estimate(seconds, frozenset(one["key"] for one in alike))


def _likenesses(task: str, method: str, identity: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    """List what earlier runs may share with a run, the most telling first."""
    alike: list[tuple[str, ...]] = [("method", task, method)]
    if identity is None:
        return alike
    but_seed = canonical_json({name: value for name, value in identity.items() if name != "seed"})
    encoders = canonical_json(identity.get("encoders"))
    return [("all", task, but_seed), ("encoders", task, method, encoders), *alike]


def reuse(runs: Sequence[Run]) -> list[Reuse]:
    """Count what these runs need of each kind; kinds that none needs are left out.

    Whether statistics are kept is decided when they are computed (tasks/work.py). Those of support rows
    alone are left out: which rows those are is not known before.
    """
    kinds = {kind: Reuse(kind) for kind in (EMBEDDINGS, PARAM, STATISTICS)}
    known: dict[str, list[Mapping[str, str]]] = {}  # asked once for the runs that read the same
    for run in runs:
        config, aligner = run.config, run.config.aligner
        reads = repr((config.data, config.parallel, config.zoo, config.runtime.resize))
        if reads not in known:
            known[reads] = _embedding_keys(run.request, reads)
        paired, own = known[reads]
        needed: dict[str, set[str]] = {}
        if not isinstance(config.zoo, PrecomputedZoo):
            needed[EMBEDDINGS] = {*paired.values(), *own.values()}
        shrinkage = aligner.shrinkage if isinstance(aligner, RelativeConfig) else "auto"
        if isinstance(aligner, RelativeConfig) and config.task.aligned and shrinkage != "auto":
            settings = shrinkage, aligner.eps  # one that is chosen is not known before
            needed[STATISTICS] = {content_key(statistics_identity(k, *settings)) for k in own.values()}
            if isinstance(config.anchors, ParamAnchors):
                needed[PARAM] = {
                    content_key(
                        param_identity(
                            config,
                            {paired[n]: shrinkage for n in fit},
                            [own[n] for n in fit],
                        )
                    )
                    for fit in param_fits(config, list(paired))
                }
        for kind, keys in needed.items():
            usable = kind == EMBEDDINGS or config.overwrite != "always"
            kinds[kind].places |= {Path(config.paths.outputs) / kind / key: usable for key in keys}
            kinds[kind].runs += bool(keys)
    return [one for one in kinds.values() if one.runs]


def param_fits(config: Config, names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the encoders that PARAM is learned on, for each of its fits; some may be equal."""
    if isinstance(config.anchors, SingleParamAnchors) and config.anchors.learned_on == "decoder":
        yield from ([name] for name in names)  # a decoder of the test encoder's own is measured, too
        return
    for target in config.task.test_encoders or names:
        others = [name for name in names if name != target]
        yield [min(others)] if isinstance(config.anchors, SingleParamAnchors) else others


def _embedding_keys(request: Request, reads: str) -> list[Mapping[str, str]]:
    """Encoder -> the key of its embeddings: of paired samples, and of the task's own."""
    groups = (request.paired, request.own)
    try:
        return [request.embedding_keys(samples) for samples in groups]
    except UserError:  # files of which keys are made are not here: told apart by how they are configured
        of = ([repr(samples.config), reads] for samples in groups)
        return [{n: content_key({"of": one, "name": n}) for n in request.names} for one in of]
