"""From a zoo's configuration to embeddings, whatever kind of zoo it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema import (
    CaptionedData,
    ClustersData,
    Config,
    DataConfig,
    DistortedZoo,
    ImagesData,
    ParallelConfig,
    PrecomputedZoo,
    Sib200Data,
    SubsetsParallel,
    TaskConfig,
    TextsData,
)
from relrep_exp.config.views import IMAGE, POINT, own_pairs, views
from relrep_exp.data import sources as data_sources
from relrep_exp.data.repos import dataset_repo
from relrep_exp.encoders import precomputed
from relrep_exp.encoders.present import missing_encoders
from relrep_exp.encoders.zoo_sources import described, sources
from relrep_exp.errors import Problem, UserError, every, nearest
from relrep_exp.store.keys import content_key

if TYPE_CHECKING:
    from relrep_exp.encoders.embeddings import Embeddings
    from relrep_exp.encoders.settings import Extraction
    from relrep_exp.training.device import Runtime

_READ = {IMAGE: "images", POINT: "points"}  # every other view is a language
# What encoders read -> some data of it
_SOME = {
    "images": "data=digits, mnist, cifar100 ...",
    "points": "data=clusters",
    "texts": "data=sib200, template_reviews, templates, trec, marc ...",
    "images and texts": "data=n24news, digits_described",
}


def identity(config: Config) -> dict[str, Any]:
    """What determines the embeddings and what they are split and labelled by, as part of a record's key.

    Raises:
        UserError: files are missing; every problem.
    """
    if isinstance(config.zoo, PrecomputedZoo):
        return {"data": {"name": config.data.name}, "encoders": precomputed.identity(config.zoo)}
    jobs: dict[str, Callable[[], Any]] = {**_samples(config), "encoders": partial(_encoders, config)}
    parts = every(jobs)
    # Samples may be left out, for numbers that a run which wants all of them must not be given.
    if getattr(config.data, "on_error", "raise") == "skip":
        parts["on_error"] = "skip"
    if missing := missing_encoders(config):  # nor one that names them those of a zoo that never had them
        parts["skipped_encoders"] = sorted(missing)
    return parts


def paired_keys(config: Config) -> dict[str, str]:
    """Encoder -> the identity of its paired embeddings, where no sample is left out; none is read.

    Raises:
        UserError: files are missing; every problem.
    """
    return _keys(config, config.data if own_pairs(config) else config.parallel)


def task_keys(config: Config) -> dict[str, str]:
    """The same of the embeddings that decoders are trained and tested on."""
    return _keys(config, config.data)


def _keys(config: Config, group: DataConfig | ParallelConfig) -> dict[str, str]:
    if isinstance(config.zoo, PrecomputedZoo):
        return precomputed.keys(config.zoo)
    samples = data_sources.identity(group, views(config), config.runtime.offline)
    return {name: content_key(described(source, samples)) for name, source in sources(config).items()}


def _samples(config: Config) -> dict[str, Callable[[], dict[str, Any]]]:
    """Group of the configuration -> what asks for the identity of its samples."""
    offline, read = config.runtime.offline, views(config)
    groups: dict[str, Any] = {"data": config.data}
    if not own_pairs(config):
        groups["parallel"] = config.parallel
    return {name: partial(data_sources.identity, group, read, offline) for name, group in groups.items()}


def _encoders(config: Config) -> dict[str, Any]:
    return every({name: source.identity for name, source in sources(config).items()})


def own_problems(config: Config) -> list[Problem]:
    """What is wrong with files of the user's own; what comes from the hub is not looked at."""
    jobs: dict[str, Callable[[], Any]] = {
        name: job
        for name, job in _samples(config).items()
        if dataset_repo(getattr(config, name), views(config), name) is None
    }
    jobs["encoders"] = partial(sources, config)
    try:
        every(jobs)
    except UserError as error:
        return error.problems
    return []


def problems(config: Config) -> list[Problem]:
    """What does not go together, known before anything is read."""
    kind, name = config.data.kind, f"data={config.data.name}"
    zoo = config.zoo
    if not isinstance(zoo, PrecomputedZoo) and (found := encoder_problems(list(zoo.encoders), config.task)):
        return found
    if isinstance(zoo, PrecomputedZoo) != (kind == "precomputed"):
        if isinstance(zoo, PrecomputedZoo):
            remedy = "zoo=precomputed brings its own labels and split: use data=precomputed"
        else:
            remedy = "these encoders need samples to read: use data=digits, say, or zoo=precomputed"
        return [Problem(f"{name} does not go with this zoo", remedy)]
    read = sorted({_READ.get(view, "texts") for view in views(config)})
    if all(kind in data_sources.HOLD[sort] for sort in read):
        return [*_unpaired(config), *_tested_twice(config), *_too_flat(config)]
    what = " and ".join(read)
    return [Problem(f"{name} does not go with this zoo, whose encoders read {what}", f"use {_SOME[what]}")]


def _too_flat(config: Config) -> list[Problem]:
    """On a line nothing can be turned, nor be stretched more in one direction than in another."""
    zoo, data = config.zoo, config.data
    if not isinstance(zoo, DistortedZoo) or not isinstance(data, ClustersData) or data.dim > 1:
        return []
    return [
        Problem(
            f"zoo.encoders.{name} turns or stretches points, and data.dim={data.dim} leaves them a line",
            f"set data.dim=2 or more, or leave it out: ~zoo.encoders.{name}",
        )
        for name, encoder in zoo.encoders.items()
        if encoder.rotation or encoder.condition > 1
    ]


def encoder_problems(names: Sequence[str], task: TaskConfig) -> list[Problem]:
    """Too few encoders, and test encoders that are none of them."""
    problems = []
    if len(names) < 2:
        found = f"one encoder only: {names[0]}" if names else "no encoder at all"
        problems.append(Problem(found, f"{task.kind} needs at least two"))
    for name in task.test_encoders or []:
        if name not in names:
            what = f"task.test_encoders: there is no encoder {name}"
            problems.append(Problem(what, nearest(name, names)))
    return problems


def _unpaired(config: Config) -> list[Problem]:
    """Samples that are not parallel need a parallel source beside them, images have no use for one."""
    own = own_pairs(config)
    if config.data.kind == "texts" and own and len(views(config)) > 1:
        what = f"data={config.data.name}: row n is another sample in every language, so nothing is paired"
        return [Problem(what, "choose a parallel source: parallel=xnli, sib200, ntrex, translated ...")]
    if config.data.kind not in data_sources.HOLD["texts"] and not own:
        what = f"parallel={config.parallel.name} is a source of texts, and data={config.data.name} has none"
        return [Problem(what, "use parallel=own")]
    return []


def _tested_twice(config: Config) -> list[Problem]:
    """Test samples must be neither trained on nor among those that anchors and statistics come from."""
    data, parallel = config.data, config.parallel
    if not isinstance(data, ImagesData | CaptionedData | TextsData | Sib200Data):
        return []
    train, test = ({part} if isinstance(part, str) else set(part) for part in (data.train, data.test))
    problems = []
    if both := sorted(train & test):
        what = (
            f"data.train and data.test share {', '.join(both)}: samples would be tested on that were learnt"
        )
        problems.append(Problem(what, "give each splits of its own"))
    if (
        isinstance(parallel, SubsetsParallel)
        and not isinstance(data, CaptionedData)
        and parallel.repo == data.repo
        and not own_pairs(config)
        and test & set(parallel.splits)
    ):
        what = f"parallel={parallel.name} has the very sentences that data={data.name} tests on"
        ways = [] if data.kind == "texts" else ["use parallel=own, as these data are paired themselves"]
        problems.append(
            Problem(what, ", or ".join([*ways, f"set parallel.splits=[{','.join(sorted(train))}]"]))
        )
    return problems


def load(config: Config, runtime: Runtime) -> Embeddings:
    """The embeddings, computed only where the store lacks them.

    Raises:
        UserError: the data or the files are not what the configuration says.
    """
    if isinstance(config.zoo, PrecomputedZoo):
        return precomputed.load(config.zoo)
    from relrep_exp.encoders import present
    from relrep_exp.encoders.embed import Group, embed

    offline, read = config.runtime.offline, views(config)
    encoders = sources(config, runtime.training())
    own = Group.of(config.data, read, offline)
    paired = own if own_pairs(config) else Group.of(config.parallel, read, offline)
    how = _how(config, runtime)
    notes = present.notes(config)
    return embed(encoders, own, paired, Path(config.paths.outputs), how, notes)


def _how(config: Config, runtime: Runtime) -> Extraction:
    """How embeddings are computed on this machine."""
    from relrep_exp.encoders.settings import Extraction

    asked = config.runtime
    return Extraction(
        device=runtime.device,
        devices=runtime.devices,
        batch=asked.batch,
        batch_tokens=asked.batch_tokens,
        shard=asked.shard,
        workers=asked.workers,
        compile=asked.compile,
        channels_last=asked.channels_last,
        progress=runtime.progress,
        on_error=getattr(config.data, "on_error", "raise"),
    )
