"""Reading several stores at once: what is sound is found, what is not is named, nothing is touched."""

import json
import math
from dataclasses import replace

import pytest

from relrep_exp.errors import UserError
from relrep_exp.store.files import seal
from relrep_exp.store.frame import survey
from relrep_exp.store.keys import content_key
from relrep_exp.store.records import Record, RecordStore, Row


def record_of(seed, value=0.5, **more):
    row = Row("a", "b", "random-cosine", "mrr", value)
    return Record(content_key({"seed": seed}), "task", "random-cosine", {"seed": seed}, [row], **more)


def put(folder, *records):
    for record in records:
        RecordStore(folder / "records").put(record)
    return folder


def listing(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_folders_are_read_as_one(tmp_path):
    here, there = put(tmp_path / "here", record_of(0)), put(tmp_path / "there", record_of(0), record_of(1))
    found = survey([here, there])
    assert found.problems == []
    assert {record.config["seed"] for record in found.records.values()} == {0, 1}
    assert [found.files[record_of(seed).key].parent.parent for seed in (0, 1)] == [here, there]


def test_a_folder_that_is_named_twice_is_read_once(tmp_path):
    put(tmp_path, record_of(0))
    found = survey([tmp_path, tmp_path / ".." / tmp_path.name])
    assert len(found.records) == 1 and found.problems == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"rows": [Row("a", "b", "random-cosine", "mrr", 0.75)]},
            "other numbers (up to 0.25, in mrr of a and b)",
        ),
        (
            {"rows": [Row("a", "b", "random-cosine", "mrr", math.nan)]},
            "other numbers (up to nan, in mrr of a and b)",
        ),
        ({"rows": []}, "1 and 0 rows that are not of the same pairs and metrics"),
    ],
)
def test_two_records_of_one_key_are_told_and_both_stay(tmp_path, change, said):
    here = put(tmp_path / "here", record_of(0))
    there = put(tmp_path / "there", replace(record_of(0), **change))
    before = listing(tmp_path)
    found = survey([here, there])
    [problem] = found.problems
    files = [str(RecordStore(folder / "records").path(record_of(0).key)) for folder in (here, there)]
    assert all(file in problem.what for file in files) and said in problem.what
    assert "the first is used" in problem.what and "overwrite=always" in problem.remedy
    assert found.records[record_of(0).key] == record_of(0)
    assert listing(tmp_path) == before


def test_what_rounding_makes_of_the_same_runs_is_told_in_one_line(tmp_path):
    [row] = record_of(0).rows
    near = [replace(record_of(seed), rows=[row._replace(value=row.value + 1e-7)]) for seed in (0, 1)]
    curves = replace(record_of(2), curves={"a": {"loss": [1.0]}})
    here = put(tmp_path / "here", *(record_of(seed) for seed in (0, 1, 2, 3)))
    there = put(tmp_path / "there", *near, curves, record_of(3))
    found = survey([here, there])
    [problem] = found.problems
    assert "both have 3 runs whose numbers differ by 1e-07 at most" in problem.what
    assert str(here) in problem.what and str(there) in problem.what
    assert found.records[record_of(0).key].rows == [row]


def test_the_same_numbers_at_another_time_and_place_are_no_contradiction(tmp_path):
    here = put(tmp_path / "here", record_of(0, math.nan, timings={"fit": 1.0}))
    there = put(tmp_path / "there", record_of(0, math.nan, timings={"fit": 9.0}, provenance={"device": "x"}))
    assert survey([here, there]).problems == []


HARM = {  # what becomes of a record's text -> what is said of it, and what mends it
    "newer": (
        lambda text: seal({"schema": 7}),
        "schema 7, and this version reads schema 1 (a newer",
        "update",
    ),
    "older": (
        lambda text: seal({"schema": 0}),
        "schema 0, and this version reads schema 1 (an older",
        "again",
    ),
    "truncated": (lambda text: text[:-30], "it is damaged: it is not JSON", "command again"),
    "empty": (lambda text: "", "it is damaged: it is not JSON", "command again"),
    "binary": (lambda text: "\x80\x00", "it is damaged: it is not JSON", "command again"),
    "changed": (lambda text: text.replace("0.5", "0.6"), "its checksum does not match", "command again"),
    "other key": (lambda text: record_of(5).to_json(), f"of the key {record_of(5).key}", "command again"),
    "folder": (None, "a folder is where a file should be", "move that folder away"),
}


@pytest.mark.parametrize(("harm", "said", "mended"), HARM.values(), ids=HARM)
def test_what_cannot_be_read_is_named_and_hides_nothing_else(tmp_path, harm, said, mended):
    put(tmp_path, record_of(0), record_of(1))
    path = RecordStore(tmp_path / "records").path(record_of(0).key)
    text = path.read_text()
    path.unlink()
    if harm is None:
        path.mkdir()
    else:
        path.write_text(harm(text), encoding="latin-1")
    before = listing(tmp_path)
    found = survey([tmp_path])
    [problem] = found.problems
    assert str(path) in problem.what and said in problem.what and mended in problem.remedy
    assert list(found.records) == [record_of(1).key]
    assert listing(tmp_path) == before


def test_a_minus_zero_is_still_what_was_written(tmp_path):
    written = record_of(0, -0.0, diagnostics={"far": -0.05, "list": [-0.0]})
    put(tmp_path, written)
    assert json.loads(written.to_json())["rows"][0]["value"] == 0
    assert survey([tmp_path]).records[written.key] == written


def test_folders_that_do_not_exist_are_all_named(tmp_path):
    with pytest.raises(UserError) as caught:
        survey([tmp_path, tmp_path / "no", tmp_path / "nor"])
    assert [problem.what for problem in caught.value.problems] == [
        f"there is no folder {tmp_path / name}" for name in ("no", "nor")
    ]
