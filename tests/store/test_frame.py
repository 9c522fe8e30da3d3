"""All numbers of the store as a frame."""

import pandas as pd
import pytest

from relrep_exp import load_records
from relrep_exp.store.keys import content_key
from relrep_exp.store.records import Record, RecordStore, Row

ALWAYS = [
    *("key", "task", "method", "source", "target", "metric", "value", "seed"),
    *("seconds", "device", "started", "command"),
]


def record_of(method, seed, values, **parts):
    """A record with a value for each (source, target); `parts` are the method's."""
    config = {"task": {"name": "digits_stitch"}, "method": {"name": method, **parts}, "seed": seed}
    config["data"] = {"image": {"labels": ["a", "b"]}}
    return Record(
        content_key(config),
        "digits_stitch",
        method,
        config,
        [Row(*pair, method, "f1_weighted", value) for pair, value in values.items()],
        timings={"embed": 1.25, "fit": 2.5, "skipped": None},
        provenance={"device": "cpu", "started": "2026-01-02T03:04:05+00:00", "command": f"run {method}"},
    )


RUNS = (
    record_of("absolute", 0, {("a", "a"): 0.9}, aligner={"name": "absolute"}),
    record_of("param-wip", 0, {("a", "b"): 0.5, ("b", "a"): float("nan")}, anchors={"m": 64, "lr": 0.5}),
    record_of("param-wip", 1, {("a", "b"): 0.75}, anchors={"m": 300, "lr": 1}),
)


@pytest.fixture
def outputs(tmp_path):
    for record in RUNS:
        RecordStore(tmp_path / "records").put(record)
    return tmp_path


def test_every_number_is_a_line_with_the_configuration_of_its_run(outputs):
    frame = load_records(outputs)
    assert list(frame.columns[:12]) == ALWAYS
    numbers = {
        (r.key, row.source, row.target): None if row.value != row.value else row.value
        for r in RUNS
        for row in r.rows
    }
    found = {
        (line["key"], line["source"], line["target"]): None if pd.isna(line["value"]) else line["value"]
        for _, line in frame.iterrows()
    }
    assert found == numbers
    assert set(frame.columns[12:]) == {
        "aligner.name",
        "anchors.lr",
        "anchors.m",
        "data.image.labels",
        "task.name",
    }
    learned = frame[frame.method == "param-wip"]
    assert list(learned.groupby("anchors.m").value.mean()) == [0.5, 0.75]
    assert frame[frame["anchors.m"].isna()].method.tolist() == ["absolute"]
    assert frame["data.image.labels"].unique().tolist() == ['["a", "b"]']


def test_columns_have_the_types_of_their_values(outputs):
    kinds = load_records(outputs).dtypes.astype(str).to_dict()
    assert kinds["value"] == kinds["seconds"] == kinds["anchors.lr"] == "float64"
    assert kinds["seed"] == kinds["anchors.m"] == "Int64"
    assert kinds["method"] == kinds["aligner.name"] == "string"
    assert kinds["started"] == "datetime64[ns, UTC]"
    frame = load_records(outputs)
    assert frame.seconds.unique().tolist() == [3.75]
    assert frame.started.iloc[0] == pd.Timestamp("2026-01-02T03:04:05Z")


def test_an_empty_store_has_the_columns_and_their_types(tmp_path, outputs):
    (tmp_path / "empty").mkdir()
    frame = load_records(tmp_path / "empty")
    assert len(frame) == 0
    full = load_records(outputs)
    assert frame.dtypes.to_dict() == full.dtypes[: len(frame.columns)].to_dict()


def test_several_folders_are_one_frame_and_what_is_damaged_is_told(tmp_path, outputs, caplog):
    extra = record_of("random-cosine", 7, {("a", "b"): 0.1})
    RecordStore(tmp_path / "more" / "records").put(extra)
    RecordStore(tmp_path / "more" / "records").path(RUNS[0].key).write_text("{")
    frame = load_records(outputs, str(tmp_path / "more"))
    assert len(frame) == 5 and set(frame.seed) == {0, 1, 7}
    assert f"{RUNS[0].key}.json is not used" in caplog.text
