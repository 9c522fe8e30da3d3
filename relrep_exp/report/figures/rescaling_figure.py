"""Accuracy of decoders over the factor that their inputs are multiplied with, one line per activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.ticker import FuncFormatter

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, blank_figure, marked_lines
from relrep_exp.report.measures import RESCALED
from relrep_exp.report.tables.cells import cell_of
from relrep_exp.report.tables.points import Drawing, base_points, by_seed, of_methods, score

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point
    from relrep_exp.store.records import Record

_COLUMNS = ("factor", "method", "mean", "std", "n")


def rescaling_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """A line is the mean over encoders and seeds, its band the std over seeds; the dotted line is factor 1.

    Raises:
        UserError: no run has rescaled inputs.
        ValueError: the runs differ in more than method and seed.
    """
    found = {m: list(by_seed(own).values()) for m, own in of_methods(base_points(points)).items()}
    rows = [row for method, records in found.items() for row in _rows(method, records)]
    if not rows:
        raise user_error("no run has rescaled inputs", "run task=rescaling")
    with rc_context(RC):
        figure = blank_figure(5.2, 3.6)
        panel = figure.add_subplot()
        panel.set(xscale="log", xlabel="inputs multiplied by", ylabel="accuracy in %", title=experiment.title)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda factor, _: f"{factor:g}"))
        panel.axvline(1, color="0.6", linestyle=":", linewidth=0.8)
        panel.grid(axis="y", color="0.92", linewidth=0.6)
        for method, style in zip(found, marked_lines(len(found)), strict=True):
            own = np.array([row[:1] + row[2:4] for row in rows if row[1] == method], dtype=float)
            spread = np.nan_to_num(own[:, 2])
            panel.plot(own[:, 0], 100 * own[:, 1], label=method, **style)
            low, high = (100 * (own[:, 1] + sign * spread) for sign in (-1, 1))
            panel.fill_between(own[:, 0], low, high, color=style["color"], alpha=0.15, linewidth=0)
        figure.legend(loc="outside lower center", ncols=len(found), title="activation of the hidden layer")
    return Drawing(figure, _COLUMNS, rows)


def _rows(method: str, records: Sequence[Record]) -> list[tuple[Any, ...]]:
    """Factor, method, mean, std and number of seeds; factors by size."""
    metrics = {row.metric for record in records for row in record.rows if row.metric.startswith(RESCALED)}
    factors = {float(metric.removeprefix(RESCALED)): metric for metric in metrics}
    found = []
    for factor in sorted(factors):
        values = [value for r in records if (value := score(r, factors[factor])) is not None]
        if cell := cell_of(values):
            found.append((factor, method, cell.mean, cell.std, cell.n))
    return found
