"""A row for each method: what is best in a column, how long joining took, what the paper states beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relrep_exp.errors import UserError
from relrep_exp.report.figures.line_figure import rescaling_figure, tradeoff_figure
from relrep_exp.report.render.html import Runs, to_html
from relrep_exp.report.tables.axis_tables import methods_table
from relrep_exp.report.tables.compare import beside_cited
from relrep_exp.report.tables.pair_tables import pairs_table
from relrep_exp.report.tables.points import Place, Point
from relrep_exp.store.records import Row
from report.reading import csv_of, note_of
from report.synthetic_points import along, experiment, point

SHOWN = experiment(
    methods={"own": ["aligner=absolute"], "x": [], "y": []},
    metrics=["f1_weighted", "nmse", "join_seconds", "parallel_points"],
    x="k",
    axes={"k": [10, 20], "seed": [0, 1]},
    table="methods",
    figure="tradeoff",
)


def timed(one: Point, seconds: float, used: int) -> Point:
    """The same run, whose three encoders took so many seconds to join, and needed so many samples."""
    rows = [*one.record.rows, *(Row(n, n, one.method, "parallel_points", float(used)) for n in "abc")]
    return replace(one, record=replace(one.record, rows=rows, timings={"join": 3 * seconds}))


def runs() -> list[Point]:
    """y is better in F1 and worse in nMSE; the encoder's own decoder, under another name, best of all."""
    own = [point("absolute", seed, {"f1_weighted": 0.99}) for seed in (0, 1)]
    ours = [Point("own", {"seed": p.at["seed"], "k": k}, None, p.record) for p in own for k in (10, 20)]
    values = {"x": (0.8, 0.1, 0.002), "y": (0.9, 0.2, 0.004)}
    both = along("k", (10, 20), (0, 1), lambda m, k, s: {"f1_weighted": values[m][0], "nmse": values[m][1]})
    return ours + [timed(p, values[p.method][2] * p.at["k"] / 10, p.at["k"]) for p in both]


def test_a_row_for_each_place_and_method_with_its_time_and_its_samples():
    table = methods_table(SHOWN, runs())
    assert [(line.target, line.source) for line in table.rows[:3]] == [("10", m) for m in ("own", "x", "y")]
    rows = {(row["k"], row["method"], row["metric"]): row for row in csv_of(table)}
    assert float(rows["20", "y", "join_seconds"]["mean"]) == pytest.approx(0.008, rel=1e-12)
    assert float(rows["20", "y", "parallel_points"]["mean"]) == 20
    assert rows["20", "own", "join_seconds"]["n"] == "0"  # no one else reads it, so it joins nothing
    assert "measured" in table.legend and "own: each with itself" in table.legend


def test_the_best_of_a_column_is_marked_among_methods_that_read_others():
    lines = methods_table(SHOWN, runs()).rows
    best = {(line.source, n) for line in lines for n, c in enumerate(line.cells) if c and c.best}
    assert best == {("y", 0), ("x", 1)}


def test_an_alias_of_absolute_is_never_ranked_in_a_table_of_pairs():
    shown = replace(SHOWN, methods={"own": ["aligner=absolute"], "x": []})
    mine = [p for p in runs() if p.at["k"] == 10 and p.method != "y"]
    table = pairs_table(shown, mine)
    cells = [pair for line in table.rows for pair in zip(line.cells, table.columns, strict=True)]
    assert {column.method for cell, column in cells if cell and cell.best} == {"x"}


def test_the_page_can_hide_a_methods_rows():
    text = to_html(methods_table(SHOWN, runs()), Runs())
    assert text.count('<tr data-method="y">') == 2 and '<th scope="col" data-sort="number">' in text


def test_a_missing_run_says_so_in_its_row():
    gap = Place("y", {"k": 20, "seed": 0}, None, "key", "python run.py", "failed: out of memory")
    kept = [p for p in runs() if (p.method, p.at["k"]) != ("y", 20)]
    lines = methods_table(SHOWN, kept, [gap]).rows
    [row] = [line for line in lines if (line.target, line.source) == ("20", "y")]
    assert {cell.missing for cell in row.cells} == {"missing: failed"}


def test_the_figure_draws_the_numbers_of_its_csv_and_no_time_for_what_joins_nothing():
    drawing = tradeoff_figure(SHOWN, runs())
    told = {(row[0], row[1], row[2]): row for row in drawing.rows}
    assert told[20, "f1_weighted", "y"][3] == pytest.approx(0.9)
    assert told[20, "f1_weighted", "y"][6] == pytest.approx(0.008)
    assert told[10, "f1_weighted", "own"][6] == ""
    assert len(drawing.figure.axes) == 2 * 2  # places, metrics that rank
    untimed = [replace(p, record=replace(p.record, timings={})) for p in runs()]
    with pytest.raises(UserError, match="how long joining took"):
        tradeoff_figure(SHOWN, untimed)


def test_what_a_paper_states_stands_under_the_cell_that_it_stands_for():
    shown = replace(
        SHOWN,
        name="lst_architecture",
        x="data",
        axes={"data": ["cifar10", "digits"]},
        metrics=["accuracy"],
        methods={"ortho": [], "linear": []},
    )
    mine = [
        point(method, 0, {"accuracy": 0.9}, axes={"data": data})
        for method in ("ortho", "linear")
        for data in ("cifar10", "digits")
    ]
    table = beside_cited(methods_table(shown, mine), shown, mine)
    found = {(line.target, line.source): line.cells[0].beside for line in table.rows}
    assert found["cifar10", "ortho"].mean == 0.93 and found["cifar10", "ortho"].verdict == ""
    assert [found[key] for key in found if key != ("cifar10", "ortho")] == [None] * 3
    assert "AG News, standard scaling, ortho: accuracy 66 %" in note_of(table)
    assert beside_cited(table, experiment(), mine) is table  # of which it states nothing


def test_lines_over_the_factor_are_means_over_encoders():
    shown = experiment(methods={"relu": [], "cosine": []}, metrics=["accuracy@1"], table="metrics")
    mine = [
        point(m, s, {"accuracy@0.1": 0.2 + 0.1 * s, "accuracy@1": 0.9, "accuracy@10": 0.3}, activation=m)
        for m in ("relu", "cosine")
        for s in (0, 1)
    ]
    drawing = rescaling_figure(shown, mine)
    assert [row[0] for row in drawing.rows if row[1] == "relu"] == [0.1, 1.0, 10.0]
    assert drawing.rows[0][2:] == pytest.approx((0.25, 0.1 / 2**0.5, 2))
    with pytest.raises(UserError, match="rescaled"):
        rescaling_figure(shown, [point("relu", 0, {"accuracy": 0.5})])
