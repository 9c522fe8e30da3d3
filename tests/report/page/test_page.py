"""The page and the script that builds it: every experiment, every other record, everything that is wrong."""

from __future__ import annotations

import base64
import json
import os
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.report.experiment import FILE, Closing, write_experiment
from relrep_exp.report.page.library import library
from relrep_exp.report.page.page import FILL_COMMAND, build
from relrep_exp.report.tables.points import Place
from relrep_exp.store.files import seal
from relrep_exp.store.records import RecordStore
from report.synthetic import plausible, single
from report.synthetic_paper import closing_of, experiment_of, runs_of

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "report.py"


def put(outputs, *records):
    for record in records:
        RecordStore(outputs / "records").put(record)


def end(outputs, records, planned=(), name="mine", **changes):
    """An experiment that ended with these records and without those that were planned besides."""
    places = [
        Place(
            r.method,
            {"seed": r.config["seed"]},
            None,
            r.key,
            f"run {r.key}",
            "" if r in records else "killed",
        )
        for r in [*records, *planned]
    ]
    methods = {place.method: [] for place in places}
    fields = {"name": name, "title": "Mine", "methods": methods, "axes": {"seed": [0]}}
    fields = {**fields, "figure": "anchors", **changes}  # these records have none: drawing takes a second
    closing = Closing(ExperimentConfig(**fields), "local", f"python run.py experiment={name}", tuple(places))
    put(outputs, *records)
    write_experiment(closing, {r.key: r for r in records}, outputs / "report" / name)
    return outputs / "report" / name


def page_of(*outputs):
    """The page's text, its problems, and what is embedded in it."""
    path, problems = build(library(outputs), outputs[0] / "built")
    page = path.read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    return page, problems, json.loads(found[1]) if found else None


def sections(page):
    """Heading -> the section's text."""
    parts = re.findall(r'<section id="[^"]*" data-task.*?</section>', page, flags=re.DOTALL)
    return {re.search(r"<h2[^>]*>(.*?)</h2>", part)[1]: part for part in parts}


@pytest.fixture
def script(capsys):
    """A function that runs the script in this process and returns its exit code, output and complaints."""
    main = runpy.run_path(str(SCRIPT))["main"]

    def run(*arguments):
        code = main(list(map(str, arguments)))
        return code, *capsys.readouterr()

    return run


def test_experiments_come_first_then_groups_of_the_records_that_belong_to_none(tmp_path):
    runs = [plausible(method, 0) for method in ("absolute", "param-wip")]
    end(tmp_path, runs)
    put(tmp_path, *(single("x", seed, 0.5, task="other") for seed in range(2)))
    page, problems, data = page_of(tmp_path)
    assert problems == []
    assert list(sections(page)) == ["Mine (mine, profile=local)", "other"]
    assert "4 runs, 2 tables" in re.sub(r"\s+", " ", page)
    assert page.count("<table>") == 2
    assert {run["key"] for run in data["runs"]} == {
        path.stem for path in (tmp_path / "records").glob("*.json")
    }
    assert "python run.py experiment=mine" in sections(page)["Mine (mine, profile=local)"]


def test_those_beside_the_papers_numbers_are_first_and_say_the_difference(tmp_path):
    end(tmp_path, [plausible("param-wip", 0)], name="a")
    records = [one for one in runs_of("table1") if one.config["seed"] < 5 or one.method != "param-wip"]
    put(tmp_path, *records)
    closing = closing_of(experiment_of("table1"), records)
    write_experiment(closing, {r.key: r for r in records}, tmp_path / "report" / "table1")
    page, *_ = page_of(tmp_path)
    first, *_ = sections(page).values()
    assert first.startswith('<section id="table-table1-paper"')
    assert "within noise" in first and "Welch" in first
    assert "1 of 24 runs has no record" in re.sub(r"\s+", " ", first)
    assert "param-wip, seed=5: failed: out of memory" in first
    assert "python run.py anchors=param-wip seed=5" in first


def test_a_record_that_came_since_is_in_the_table_and_in_the_figure(tmp_path):
    early, late = plausible("param-wip", 0), plausible("random-cosine", 0)
    end(tmp_path, [early], [late], figure="samples")
    before = next(iter(sections(page_of(tmp_path)[0]).values()))
    assert "missing: killed" in before and "1 of 2 runs" in before
    put(tmp_path, late)
    after = next(iter(sections(page_of(tmp_path)[0]).values()))
    assert "missing" not in after and "no record" not in after
    figures = [re.search(r'src="data:image/[^"]*"', text)[0] for text in (before, after)]
    assert figures[0] != figures[1]


def test_a_figure_that_is_current_is_not_drawn_again_and_one_of_other_numbers_is(tmp_path):
    run = plausible("param-wip", 0)
    folder = end(tmp_path, [run], figure="samples")
    for kind in ("png", "svg"):
        (folder / f"figure.{kind}").write_bytes(b"as it was")
    kept = base64.b64encode(b"as it was").decode()
    assert kept in page_of(tmp_path)[0]
    path = RecordStore(tmp_path / "records").path(run.key)
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 60))  # overwrite=always made it anew
    assert kept not in page_of(tmp_path)[0]
    assert (folder / "figure.png").read_bytes() == b"as it was"


def test_the_same_experiment_in_two_stores_is_one_and_another_form_of_it_is_not(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    runs = [plausible("param-wip", seed) for seed in range(3)]
    for outputs in (here, there):
        end(outputs, runs[:2])
    end(there, runs, name="other")
    assert list(sections(page_of(here, there)[0])) == [
        "Mine (mine, profile=local)",
        "Mine (other, profile=local)",
    ]


def test_an_experiment_in_parts_has_a_section_for_each(tmp_path):
    for part in range(2):
        end(tmp_path, [plausible("param-wip", part)], name="mine", title=f"Part {part}")
        (tmp_path / "report" / "mine").rename(tmp_path / "report" / f"p{part}")
    whole = tmp_path / "report" / "mine"
    whole.mkdir()
    for part in range(2):
        (tmp_path / "report" / f"p{part}").rename(whole / str(part))
    assert list(sections(page_of(tmp_path)[0])) == [f"Part {part} (mine, profile=local)" for part in range(2)]


def _truncated(path):
    path.write_text(path.read_text()[:-20])


def _newer(path):
    path.write_text(seal({"schema": 9}))


def _other_keys(path):
    path.write_text(seal({"schema": 1, "experiment": {"unheard": 1}}))


def _impossible(path):
    """Its runs are of two tasks, which no table can hold."""
    closing, other = Closing.load(path), single("param-wip", 3, 0.5, task="other")
    put(path.parents[2], other)
    place = replace(closing.places[0], key=other.key)
    replace(closing, places=(*closing.places, place)).save(path.parent)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_truncated, "is not used, it is damaged"),
        (_newer, "a newer version wrote it"),
        (_other_keys, "another version wrote it"),
        (_impossible, "cannot be shown"),
    ],
)
def test_an_experiment_that_cannot_be_shown_is_named_and_hides_nothing_else(tmp_path, harm, said):
    end(tmp_path, [plausible("param-wip", 0)], name="good", title="Good")
    bad = end(tmp_path, [plausible("random-cosine", 1)], name="bad", title="Bad")
    harm(bad / FILE)
    page, problems, _ = page_of(tmp_path)
    [problem] = problems
    assert str(bad) in problem.what and said in problem.what and problem.remedy
    assert "What is wrong with the store" in page and said in page
    assert "missing" not in sections(page)["Good (good, profile=local)"]


def test_a_contradiction_among_the_other_records_hides_no_other_table(tmp_path):
    for seed, value, note in ((0, 0.1, "a"), (0, 0.2, "b")):
        config = {"zoo": "three", "method": {"name": "x", "plugins": {note: 1}}}
        put(tmp_path, single("x", seed, value, task="broken", config=config))
    put(tmp_path, single("x", 0, 0.5))
    page, *_ = page_of(tmp_path)
    assert page.count("<table>") == len(sections(page)) == 3


def test_names_are_escaped_everywhere(tmp_path):
    hostile = "</script><b>&\"'"
    put(
        tmp_path,
        single(hostile, 0, 0.5, (hostile, "t"), provenance={"command": f"run x={hostile}"}, task=hostile),
    )
    page, _, data = page_of(tmp_path)
    assert hostile not in page and "<b>" not in page
    assert data["runs"][0]["method"] == data["runs"][0]["task"] == hostile
    assert page.count("</script>") == 2


def test_what_records_share_is_embedded_once(tmp_path):
    shared = {"provenance": {"versions": {"torch": "2.6.0"}, "git": {"commit": "abc"}}}
    encoders = {"vit": {"layers": list(range(50))}}
    put(tmp_path, *(single("x", seed, 0.5, config={"encoders": encoders}, **shared) for seed in range(5)))
    page, _, data = page_of(tmp_path)
    assert page.count(json.dumps(list(range(50)), separators=(",", ":"))) == 1
    for run in data["runs"]:
        assert data["pool"][run["config"]["encoders"]] == encoders
        assert data["pool"][run["shared"]["versions"]] == {"torch": "2.6.0"}
    assert sorted(data["pool"][run["config"]["seed"]] for run in data["runs"]) == list(range(5))


def test_without_a_script_provenance_is_still_there_to_read(tmp_path):
    origin = {"command": "python run.py x=1", "git": {"commit": "abc", "changed": False}, "device": "gpu"}
    put(tmp_path, single("x", 0, 0.5, provenance=origin))
    page, *_ = page_of(tmp_path)
    [section] = sections(page).values()
    for text in ("python run.py x=1", "commit abc, changed false", "<div>gpu</div>"):
        assert text in section
    assert single("x", 0, 0.5).key in page.split('id="runs"')[1]


def test_an_experiment_none_of_whose_runs_has_a_record_is_shown_with_their_commands(tmp_path):
    end(tmp_path, [], [plausible("param-wip", 0)])
    page, problems, data = page_of(tmp_path)
    [section] = sections(page).values()
    assert problems == [] and data["runs"] == []
    assert "1 of 1 runs has no record" in re.sub(r"\s+", " ", section)
    assert "param-wip, seed=0: killed" in section and "missing: killed" in section


def test_the_page_asks_for_nothing_outside_itself(tmp_path):
    end(tmp_path, [plausible("param-wip", 0)])
    page, *_ = page_of(tmp_path)
    without_images = re.sub(r'src="data:[^"]*"', "", page)
    assert not re.findall(r"https?://|//cdn|@import|url\(", without_images)
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', without_images) == []


def test_the_script_reads_several_folders_and_tells_what_is_wrong(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    put(here, single("x", 0, 0.5))
    put(there, single("x", 1, 0.5), single("x", 2, 0.5))
    twin = single("x", 0, 0.75)
    put(there, replace(twin, key=single("x", 0, 0.5).key))
    damaged = RecordStore(there / "records").path(single("x", 2, 0.5).key)
    damaged.write_text(damaged.read_text()[:100])
    command = [sys.executable, str(SCRIPT), "--outputs", str(here), "--outputs", str(there)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (0, f"report: {here / 'report' / 'index.html'}\n")
    lines = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 2 and len(done.stderr.splitlines()) == 4
    assert f"{damaged} is not used" in done.stderr and "records of one run" in done.stderr
    page = (here / "report" / "index.html").read_text()
    assert "2 runs, 1 table," in re.sub(r"\s+", " ", page)
    assert all(line.removeprefix("warning: ") in page for line in lines)
    assert damaged.exists()


def test_the_script_on_an_empty_store_says_what_to_run(script, tmp_path):
    path = tmp_path / "elsewhere" / "index.html"
    assert script("--outputs", tmp_path, "--to", path.parent) == (0, f"report: {path}\n", "")
    assert not (tmp_path / "report").exists()
    page = path.read_text()
    assert "no records" in page and FILL_COMMAND in page and "<table>" not in page


def test_a_folder_that_does_not_exist_is_refused(script, tmp_path):
    code, out, err = script("--outputs", tmp_path, "--outputs", tmp_path / "typo")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: there is no folder {tmp_path / 'typo'}\n    -> ")


def test_a_read_only_store_is_shown_elsewhere(script, small_disk, tmp_path):
    put(small_disk, single("x", 0, 0.5))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, out, err = script("--outputs", small_disk)
    assert (code, out) == (2, "") and "read-only" in err and "--to FOLDER" in err
    assert script("--outputs", small_disk, "--to", tmp_path)[0] == 0
    assert (tmp_path / "index.html").read_text().count("<table>") == 1
