"""A table as HTML: names are escaped, rows can move, numbers lead to their runs."""

from __future__ import annotations

import statistics
from dataclasses import replace
from html.parser import HTMLParser

from relrep_exp.report.render.html import Runs, to_html
from relrep_exp.report.tables.pair_tables import comparison
from report.synthetic import ENCODERS, plausible, single
from report.synthetic_paper import runs_of, table_of


class Tags(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, text: str):
        super().__init__()
        self.opened: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.opened.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, name):
        return [attributes for tag, attributes in self.opened if tag == name]


def test_names_are_escaped_and_the_best_is_marked():
    pair = ("<b>", '"&')
    table = comparison(
        [single(m, seed, v, pair) for m, v in (("<script>", 0.5), ("y", 0.6)) for seed in range(5)]
    )
    page = Tags(to_html(replace(table, title="<i>", missing=("<u>",)), Runs()))
    known = {"div", "table", "caption", "span", "thead", "tbody", "tr", "th", "td", "strong", "p"}
    assert {tag for tag, _ in page.opened} == known
    assert len(page.of("strong")) == len(table.rows)
    assert all(name in page.text for name in ("<script>", "<b>", '"&', "<i>", "<u>"))
    assert {"y", "<script>"} == {one["data-method"] for one in page.of("th") if "data-method" in one}


def test_every_row_has_all_its_names_and_the_means_stand_apart():
    table = comparison([plausible("param-wip", 0)])
    _, body, closing = to_html(table, Runs()).split("<tbody")
    assert "rowspan" not in body
    assert body.count("<tr") == len(ENCODERS) ** 2 and closing.count("<tr") == 2
    assert body.count('scope="row"') == 2 * len(ENCODERS) ** 2
    assert closing.startswith(" class=closing>")


def test_a_number_names_its_runs_and_the_value_of_each():
    runs = [plausible("param-wip", seed) for seed in range(3)]
    shown = Runs([*runs[1:], runs[0]])
    page = Tags(to_html(comparison(runs), shown))
    first, *_, matching = page.of("button")
    assert first["data-runs"] == matching["data-runs"] == "2 0 1"  # in the order of the cell's seeds
    own = [
        row.value for run in runs for row in run.rows if row[:4] == ("mlp", "mlp", "param-wip", "f1_weighted")
    ]
    assert first["data-values"] == " ".join(f"{100 * value:.2f}" for value in own)
    means = [
        statistics.fmean(r.value for r in run.rows if r.metric == "f1_weighted" and r.source == r.target)
        for run in runs
    ]
    assert matching["data-values"] == " ".join(f"{100 * value:.2f}" for value in means)


def test_values_that_do_not_average_to_the_cell_are_not_shown():
    runs = [plausible("param-wip", seed) for seed in range(2)]
    table = comparison(runs)
    other = [replace(run, rows=[row._replace(value=row.value / 2) for row in run.rows]) for run in runs]
    assert all(
        "data-runs" in one and "data-values" not in one
        for one in Tags(to_html(table, Runs(other))).of("button")
    )


def test_the_papers_number_stands_beside_with_difference_verdict_and_reason():
    records = runs_of("table1", lambda key, paper: (paper.mean + 0.03 * (key[0] == "rexnet"), paper.std))
    text = to_html(table_of("table1", [one for one in records if one.method != "param-wip"]), Runs())
    page = Tags(text)
    within = [one for one in page.of("span") if one.get("class") == "within-noise"]
    higher = [one for one in page.of("span") if one.get("class") == "higher"]
    assert len(within) == 3 * (1 + 4 + 4) and len(higher) == 1 + 4 + 4
    assert all(one["title"] == "p = 1" for one in within)
    assert all(float(one["title"].removeprefix("p = ")) < 0.05 for one in higher)
    assert "paper 71.11 ± 1.28 (+0.00 ≈ within noise)" in page.text
    untested = [one["title"] for one in page.of("span") if one.get("class") == "untested"]
    assert set(untested) == {"the paper states no std"}
    assert text.count("missing: failed") == 16 + 2
