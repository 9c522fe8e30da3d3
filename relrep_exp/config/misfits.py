"""What does not go together, known from the configuration alone."""

from __future__ import annotations

from relrep_exp.config import plugins
from relrep_exp.config.load import conf_dir
from relrep_exp.config.schema import Config
from relrep_exp.config.views import IMAGE, views
from relrep_exp.errors import Problem, nearest


def of_all(config: Config) -> list[Problem]:
    """Everything that does not go together."""
    return [*of_samples(config), *of_method(config)]


def of_method(config: Config) -> list[Problem]:
    """Names that no file under conf/ and no plugin stands for, and methods that the task cannot use."""
    problems, aligner, task = [], config.aligner, config.task
    for group in config.parts_of_method:
        name = getattr(config, group).name
        known = [path.stem for path in (conf_dir() / group).glob("*.yaml")] + plugins.names(group)
        if name not in known:
            problems.append(Problem(f"{group}.name={name}: there is no such choice", nearest(name, known)))
    if config.parts_of_method == ("anchors",) and not problems:
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
