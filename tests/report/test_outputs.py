"""What lands on disk: the files of an experiment, the page, and the script that builds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from relrep_exp.report.experiment import write_experiment
from relrep_exp.report.page import FILL_COMMAND, build
from relrep_exp.report.render import to_csv, to_latex, to_markdown
from relrep_exp.store.records import RecordStore

from .synthetic import plausible, single

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "report.py"


def test_an_experiment_writes_its_table_and_its_figure(tmp_path):
    runs = [plausible(method, 0) for method in ("absolute", "param-wip")]
    table = write_experiment("demo", runs, tmp_path / "demo", ["param-wip, seed 1"])
    files = {path.name: path for path in (tmp_path / "demo").iterdir()}
    assert set(files) == {"table.md", "table.csv", "table.tex", "samples.png", "samples.svg"}
    assert table.title == "demo: digits_stitch: weighted F1"
    assert files["table.md"].read_text() == to_markdown(table)
    assert files["table.csv"].read_text() == to_csv(table)
    assert files["table.tex"].read_text() == to_latex(table)
    assert "No record of 1 run(s): param-wip, seed 1." in files["table.md"].read_text()


def test_an_experiment_may_name_its_metric(tmp_path):
    table = write_experiment("demo", [plausible("param-wip", 0)], tmp_path, metric="mrr")
    assert "MRR" in table.title
    assert "MRR" in (tmp_path / "table.md").read_text()


def test_a_figure_of_other_records_does_not_stay(tmp_path):
    write_experiment("demo", [plausible("param-wip", 0)], tmp_path)
    write_experiment("demo", [single("x", 0, 0.5)], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"table.md", "table.csv", "table.tex"}


def test_an_experiment_without_any_record_lists_what_is_missing(tmp_path):
    write_experiment("demo", [], tmp_path, ["absolute, seed 0"])
    assert "absolute, seed 0" in (tmp_path / "table.md").read_text()


def test_the_page_has_a_table_per_group_and_says_where_it_comes_from(tmp_path):
    runs = [plausible(method, seed) for method in ("absolute", "param-wip") for seed in (0, 1)]
    other = single("<b>", 0, 0.5, task="other", provenance={"command": "python run.py x=<u>", "git": "f00"})
    page = build([*runs, other], tmp_path).read_text()
    assert page.count("<table>") == 2
    assert "5 runs, 2 tables" in page
    assert "<dt>git</dt><dd>abc123</dd>" in page and "torch 2.6.0, numpy 2.0" in page
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert "x=&lt;u&gt;" in page and "<u>" not in page
    assert "prefers-color-scheme: dark" in page
    assert "http" not in page  # self-contained


def test_a_contradiction_in_the_store_hides_no_other_table(tmp_path):
    twins = [single("x", 0, value, task="broken", key=key) for value, key in ((0.1, "k1"), (0.2, "k2"))]
    page = build([*twins, single("x", 0, 0.5)], tmp_path).read_text()
    assert "two different runs of x with seed 0" in page
    assert page.count("<table>") == 1


def test_an_empty_page_says_how_to_fill_it(tmp_path):
    page = build([], tmp_path / "report").read_text()
    assert "no records" in page and FILL_COMMAND in page
    assert "<table>" not in page


@pytest.mark.parametrize("count", [0, 2])
def test_the_script_builds_the_page_from_the_store(tmp_path, count):
    store = RecordStore(tmp_path / "records")
    for seed in range(count):
        store.put(single("x", seed, 0.5))
    command = [sys.executable, str(SCRIPT), "--outputs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    page = tmp_path / "report" / "index.html"
    assert done.stdout == f"report: {page}\n"
    assert page.read_text().count("<table>") == min(count, 1)
