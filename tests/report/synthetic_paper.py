"""Made-up runs from the numbers of the paper, on records that say they have its data and encoders."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import yaml

from relrep_exp.config.load import load_experiment, of_profile
from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.report.experiment import Closing
from relrep_exp.report.tables.paper_numbers import PaperValue, paper_table
from relrep_exp.report.tables.points import Place
from relrep_exp.report.tables.run_table import RETRIEVAL
from relrep_exp.store.files import CONF
from relrep_exp.store.records import Record, Row

from .synthetic import record

SEEDS = range(6)
Ours = Callable[[tuple[str, str, str, str], PaperValue], tuple[float, float]]  # -> mean and std of ours


@lru_cache  # a YAML file takes longer than what most tests do with it
def experiment_of(name: str, profile: str = "paper") -> ExperimentConfig:
    """What conf/experiment says."""
    from omegaconf import OmegaConf

    values = yaml.safe_load((CONF / "experiment" / f"{name}.yaml").read_text())["experiment"]
    experiment = load_experiment(OmegaConf.create(values))
    assert experiment is not None
    return of_profile(experiment, profile)[0]


def settings(name: str, encoders: Sequence[str] | None = None, **data: Any) -> dict[str, Any]:
    """The configuration in a record of such a run."""
    experiment = experiment_of(name)
    assert experiment.paper is not None
    kind = "retrieval" if paper_table(name).fields == RETRIEVAL else "stitching"
    view = {"name": experiment.paper.data, **experiment.paper.settings, **data}
    names = sorted(paper_table(name).encoders) if encoders is None else encoders
    weights = {encoder: {"model": f"hub/{encoder}", "commit": "0" * 40} for encoder in names}
    return {"task": {"kind": kind}, "data": {"image": view}, "encoders": weights}


def seeds_of(mean: float, std: float) -> list[float]:
    """Six values with exactly this mean and sample standard deviation."""
    step = std * math.sqrt(5 / 6)
    return [mean + step * sign for sign in (1, -1, 1, -1, 1, -1)]


def same(key: tuple[str, str, str, str], paper: PaperValue) -> tuple[float, float]:
    """Ours are the paper's."""
    return paper.mean, paper.std


def runs_of(
    name: str, ours: Ours = same, config: dict[str, Any] | None = None, seeds: Sequence[int] = SEEDS
) -> list[Record]:
    """One record for each method and seed of a table of the paper."""
    table = paper_table(name)
    rows: dict[tuple[str, int], list[Row]] = {}
    for (first, second, method, metric), value in table.values.items():
        source, target = (first, second) if table.fields == RETRIEVAL else (second, first)
        values = seeds_of(*ours((first, second, method, metric), value))
        for seed in seeds:
            rows.setdefault((method, seed), []).append(Row(source, target, method, metric, values[seed]))
    task = "slm_retrieval" if table.fields == RETRIEVAL else "cifar_stitch"
    config = config or settings(name)
    return [record(method, seed, own, config=config, task=task) for (method, seed), own in rows.items()]


def closing_of(experiment: ExperimentConfig, records: Sequence[Record], profile: str = "paper") -> Closing:
    """Every run of the experiment; those without a record failed."""
    keys = {(one.method, one.config["seed"]): one.key for one in records}
    places = [
        Place(
            method,
            {"seed": seed},
            None,
            keys.get((method, seed), f"{method}-{seed}"),
            f"python run.py anchors={method} seed={seed}",
            "" if (method, seed) in keys else "failed: out of memory",
        )
        for method in experiment.methods
        for seed in experiment.axes["seed"]
    ]
    return Closing(experiment, profile, f"python run.py experiment={experiment.name}", tuple(places))


def table_of(name: str, records: Sequence[Record], profile: str = "paper"):
    """The table that the experiment ends in."""
    from relrep_exp.report.experiment import experiment_table

    closing = closing_of(experiment_of(name, profile), records, profile)
    return experiment_table(closing, {one.key: one for one in records})[0]
