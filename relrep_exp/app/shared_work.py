"""What the runs of a plan will share: asked of configurations and folders; nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relrep_exp.app.plan import Run
from relrep_exp.app.request import Request
from relrep_exp.config.schema import Config, ParamAnchors, PrecomputedZoo, RelativeConfig, SingleParamAnchors
from relrep_exp.errors import UserError
from relrep_exp.store.keys import content_key
from relrep_exp.store.once import MANIFEST
from relrep_exp.tasks.identity import STATISTICS, param_identity, statistics_identity

EMBEDDINGS, PARAM = "embeddings", "checkpoints"  # folders of the outputs


@dataclass
class Reuse:
    """One kind of thing.

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


def reuse(runs: Sequence[Run]) -> list[Reuse]:
    """What these runs need of each kind; kinds that none needs are left out.

    Whether statistics are kept is decided when they are computed (tasks/work.py). Those of support rows
    alone are left out: which rows those are is not known before.

    A thing is known by its key. Where files of which the key is made are not here, things are told apart by
    how they are configured, and none of them is there.
    """
    kinds = {kind: Reuse(kind) for kind in (EMBEDDINGS, PARAM, STATISTICS)}
    known: dict[str, _Keys] = {}
    for run in runs:
        for kind, keys in _needed(run, _keys(run.request, known)).items():
            root = Path(run.config.paths.outputs) / kind
            usable = kind == EMBEDDINGS or run.config.overwrite != "always"
            kinds[kind].places |= {root / key: usable for key in keys}
            kinds[kind].runs += bool(keys)
    return [one for one in kinds.values() if one.runs]


def param_fits(config: Config, names: Sequence[str]) -> Iterator[list[str]]:
    """The encoders that PARAM is learned on, for each of its fits; some may be equal."""
    if isinstance(config.anchors, SingleParamAnchors) and config.anchors.learned_on == "decoder":
        yield from ([name] for name in names)  # a decoder of the test encoder's own is measured, too
        return
    for target in config.task.test_encoders or names:
        others = [name for name in names if name != target]
        yield [min(others)] if isinstance(config.anchors, SingleParamAnchors) else others


@dataclass(frozen=True)
class _Keys:
    """Encoder -> the key of its embeddings: of paired samples, and of the task's own."""

    paired: Mapping[str, str]
    tasks: Mapping[str, str]


def _needed(run: Run, known: _Keys) -> dict[str, set[str]]:
    """The keys of what a run needs, by kind."""
    config, aligner, keys = run.config, run.config.aligner, known.paired
    embeddings = {*keys.values(), *known.tasks.values()}
    needed = {} if isinstance(config.zoo, PrecomputedZoo) else {EMBEDDINGS: embeddings}
    if not isinstance(aligner, RelativeConfig) or not config.task.aligned:
        return needed
    statistics = (statistics_identity(key, aligner.shrinkage, aligner.eps) for key in keys.values())
    needed[STATISTICS] = _contents(statistics)
    if isinstance(config.anchors, ParamAnchors):
        fits = param_fits(config, list(keys))
        needed[PARAM] = _contents(param_identity(config, [keys[name] for name in fit]) for fit in fits)
    return needed


def _reads(config: Config) -> str:
    """What determines the embeddings of a run, as it is configured."""
    return repr((config.data, config.parallel, config.zoo, config.runtime.resize))


def _contents(identities: Iterable[Mapping[str, object]]) -> set[str]:
    return set(map(content_key, identities))


def _keys(request: Request, known: dict[str, _Keys]) -> _Keys:
    """Asked once for the runs that read the same."""
    reads = _reads(request.config)
    if reads not in known:
        groups = (request.paired, request.own)
        try:
            known[reads] = _Keys(*(request.embedding_keys(samples) for samples in groups))
        except UserError:  # samples that are not here: they are told apart by how they are configured
            of = ([repr(samples.config), reads] for samples in groups)
            known[reads] = _Keys(*({n: content_key({"of": o, "name": n}) for n in request.names} for o in of))
    return known[reads]
