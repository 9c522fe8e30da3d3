"""What follows from a configuration alone: which samples a run reads, and what does not go together."""

from __future__ import annotations

from collections.abc import Sequence

from relrep_exp.config import plugins
from relrep_exp.config.load import own_pairs_of
from relrep_exp.config.schema import (
    ClustersData,
    Config,
    DistortedZoo,
    NamedSplits,
    SubsetsParallel,
    TaskConfig,
)
from relrep_exp.config.schema.types import IMAGE, POINT
from relrep_exp.errors import Problem, nearest
from relrep_exp.store.files import CONF

_READ = {IMAGE: "images", POINT: "points"}  # every other view is a language
# What encoders read -> some data of it
_SOME = {
    "images": "data=digits, mnist, cifar100 ...",
    "points": "data=clusters",
    "texts": "data=sib200, template_reviews, templates, trec, marc ...",
    "images and texts": "data=n24news, digits_described",
}


def views(config: Config) -> list[str]:
    """List the views of the data that the zoo's encoders read, in their order; none for precomputed ones."""
    return list(dict.fromkeys(config.zoo.views))


def own_pairs(config: Config) -> bool:
    """Tell whether anchors, P and the metric set come from the task's own samples."""
    return own_pairs_of(config.parallel.kind, config.parallel.use, config.data.kind, len(views(config)))


def of_method(config: Config) -> list[Problem]:
    """Find names that no file under conf/ and no plugin stands for, and methods that the task cannot use."""
    problems, aligner, task = [], config.aligner, config.task
    for group in config.aligner.uses:
        name = getattr(config, group).name
        if not (CONF / group / f"{name}.yaml").is_file() and name not in (own := plugins.names(group)):
            known = [*own, *(path.stem for path in (CONF / group).glob("*.yaml"))]
            problems.append(Problem(f"{group}.name={name}: there is no such choice", nearest(name, known)))
    if config.aligner.uses == ("anchors",) and not problems:
        if config.anchors.name in ("param", "param_single"):  # a translation has no use for mixtures
            learned = f"anchors={config.anchors.name} learns mixtures"
            what = f"aligner={aligner.name} reads parallel anchors, and {learned}"
            problems.append(Problem(what, "use anchors=random, fps or kmeans"))
        if config.anchors.m == 1:
            what = f"anchors.m=1: aligner={aligner.name} needs at least two anchors"
            remedy = "set anchors.m=2 or more; as many as dimensions, or more, is better"
            problems.append(Problem(what, remedy))
    if aligner.name == "absolute" and task.compares:
        what = f"aligner=absolute has no space that two encoders share, which {task.kind} needs"
        problems.append(Problem(what, "use aligner=relative"))
    if task.kind == "invertibility" and aligner.name != "inverse_relative":
        what = f"task={task.name} inverts cosines, which aligner={aligner.name} does not"
        return [*problems, Problem(what, "use aligner=inverse_relative")]
    decoder, draws = config.decoder.name, config.decoder.draws
    if task.kind == "stitching" and draws:
        what = f"decoder={decoder} draws images, and task={task.name} classifies"
        problems.append(Problem(what, "use decoder=mlp"))
    if task.kind == "reconstruction":
        if not draws:
            what = f"decoder={decoder} classifies, and task={task.name} draws images"
            problems.append(Problem(what, "use decoder=conv"))
        if views(config) != [IMAGE]:
            what = f"task={task.name} draws images, and these encoders read none"
            remedy = "use zoo=autoencoders with data=digits, mnist, fashion_mnist ..."
            problems.append(Problem(what, remedy))
    return problems


def of_samples(config: Config) -> list[Problem]:
    """Find what is wrong with data, parallel source and encoders as they are put together."""
    name, given = f"data={config.data.name}", config.zoo.kind == "precomputed"
    # Which encoders a file of embeddings has is not known yet.
    if not given and (found := encoder_problems(list(config.zoo.encoders or ()), config.task)):
        return found
    if given != (config.data.kind == "precomputed"):
        if given:
            remedy = "zoo=precomputed brings its own labels and split: use data=precomputed"
        else:
            remedy = "these encoders need samples to read: use data=digits, say, or zoo=precomputed"
        return [Problem(f"{name} does not go with this zoo", remedy)]
    read = sorted({_READ.get(view, "texts") for view in views(config)})
    if all(sort in config.data.holds for sort in read):
        return [*_unpaired(config), *_tested_twice(config), *_too_flat(config)]
    what = " and ".join(read)
    remedy = f"use {_SOME[what]}" if what in _SOME else "choose encoders of the same samples"
    return [Problem(f"{name} does not go with this zoo, whose encoders read {what}", remedy)]


def encoder_problems(names: Sequence[str], task: TaskConfig) -> list[Problem]:
    """Find too few encoders, and test encoders that are none of them."""
    found = []
    if len(names) < 2:
        what = f"one encoder only: {names[0]}" if names else "no encoder at all"
        found.append(Problem(what, f"{task.kind} needs at least two"))
    for name in task.test_encoders or []:
        if name not in names:
            what = f"task.test_encoders: there is no encoder {name}"
            found.append(Problem(what, nearest(name, names)))
    return found


def _unpaired(config: Config) -> list[Problem]:
    """Samples that are not parallel need a parallel source beside them, images have no use for one."""
    own = own_pairs(config)
    if config.data.kind == "texts" and own and len(views(config)) > 1:
        what = f"data={config.data.name}: row n is another sample in every language, so nothing is paired"
        return [Problem(what, "choose a parallel source: parallel=xnli, sib200, ntrex, translated ...")]
    if "texts" not in config.data.holds and not own:
        what = f"parallel={config.parallel.name} is a source of texts, and data={config.data.name} has none"
        return [Problem(what, "use parallel=own")]
    return []


def _tested_twice(config: Config) -> list[Problem]:
    """Test samples must be neither trained on nor among those that anchors and statistics come from."""
    data, parallel = config.data, config.parallel
    if not isinstance(data, NamedSplits):
        return []
    train, test = data.splits("train"), data.splits("test")
    found = []
    if both := sorted(train & test):
        what = (
            f"data.train and data.test share {', '.join(both)}: samples would be tested on that were learnt"
        )
        found.append(Problem(what, "give each splits of its own"))
    if (
        isinstance(parallel, SubsetsParallel)
        and parallel.repo == getattr(data, "repo", "")
        and not own_pairs(config)
        and test & set(parallel.splits)
    ):
        what = f"parallel={parallel.name} has the very sentences that data={data.name} tests on"
        ways = [] if data.kind == "texts" else ["use parallel=own, as these data are paired themselves"]
        found.append(Problem(what, ", or ".join([*ways, f"set parallel.splits=[{','.join(sorted(train))}]"])))
    return found


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
