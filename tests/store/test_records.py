"""A run is stored once under its key, and a record that is returned is what was written."""

import dataclasses
import json
import math

import pytest

from relrep_exp.errors import UserError
from relrep_exp.store.files import CorruptError
from relrep_exp.store.keys import content_key
from relrep_exp.store.records import Record, RecordStore, Row


def make(seed=0, value=0.5, **changes):
    record = Record(
        key=content_key({"seed": seed}),
        task="digits_stitch",
        method="param-wip",
        config={"seed": seed, "encoders": ["vit", "mlp"], "lr": 1e-3},
        rows=[
            Row("vit", "mlp", "param-wip", "f1_weighted", value),
            Row("vit", "vit", "param-wip", "mrr", math.nan),
        ],
        curves={"fit": {"symnce": [3.25, 0.1 + 0.2, math.nan], "length": []}},
        views=[{"source": "vit", "target": "mlp", "labels": [0, 1], "native": [[0.1, -1.0]], "carried": []}],
        diagnostics={"steps": 12, "lost": None},
        timings={"fit": 1.5},
        provenance={"git": "abc", "device": "cpu"},
    )
    return dataclasses.replace(record, **changes)


KEY = make().key


def same(one, other):
    """Equality in which NaN equals NaN."""
    return one is not None and one.to_json() == other.to_json()


def no_run():
    raise AssertionError("it ran")


@pytest.fixture
def store(tmp_path):
    return RecordStore(tmp_path / "records")


def names(store):
    return sorted(path.name for path in store.root.iterdir() if path.name != ".locks")


def test_the_text_has_the_documented_fields_and_null_for_nan():
    content = json.loads(make().to_json())
    assert list(content) == [
        *("schema", "key", "task", "method", "config", "rows", "curves", "views"),
        *("diagnostics", "timings", "provenance", "checksum"),
    ]
    assert content["schema"] == 1
    named = {"source": "vit", "target": "mlp", "method": "param-wip", "metric": "f1_weighted", "value": 0.5}
    assert content["rows"][0] == named == make().rows[0]._asdict()
    assert content["rows"][1]["value"] is None
    assert content["curves"]["fit"]["symnce"] == [3.25, 0.1 + 0.2, None]


def test_what_was_written_comes_back():
    record = make()
    back = Record.from_json(record.to_json())
    assert back.rows[0] == record.rows[0]
    assert math.isnan(back.rows[1].value)
    assert back.curves["fit"]["symnce"][:2] == [3.25, 0.1 + 0.2]
    assert math.isnan(back.curves["fit"]["symnce"][2])
    for name in ("key", "task", "method", "config", "views", "diagnostics", "timings", "provenance"):
        assert getattr(back, name) == getattr(record, name)


def test_a_run_that_diverged_is_a_record_too():
    rows = [Row("a", "b", "m", "nmse", value) for value in (math.inf, -math.inf, 1)]
    views = [{"source": "a", "target": "b", "labels": [], "native": [[math.nan, math.inf]], "carried": []}]
    back = Record.from_json(make(rows=rows, views=views, diagnostics={"loss": math.nan}).to_json())
    assert [row.value for row in back.rows] == [math.inf, -math.inf, 1.0]
    x, y = back.views[0]["native"][0]
    assert math.isnan(x)
    assert y == math.inf
    assert back.diagnostics == {"loss": None}


def test_what_is_not_json_is_refused_with_its_place(tmp_path):
    with pytest.raises(TypeError, match=r"value\.config\.where"):
        make(config={"where": tmp_path}).to_json()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("0.5", "0.6"),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("null", "NaN", 1),
        lambda text: text.replace('"schema": 1,', ""),
        lambda text: text.replace('"checksum"', '"check"'),
        lambda text: "[]",
        lambda text: "",
        lambda text: b"\xff\xfe",
    ],
)
def test_what_was_not_written_so_is_corrupt(damage):
    text = make().to_json()
    assert damage(text) != text
    with pytest.raises(CorruptError):
        Record.from_json(damage(text))


def test_the_first_answer_is_what_a_later_one_will_be(store):
    rows = [Row("a", "b", "m", "mrr", 1)]
    first, _ = store.get_or_run(KEY, lambda: make(config={"seed": 0, "sizes": (1, 2)}, rows=rows))
    second, _ = store.get_or_run(KEY, no_run)
    assert first == second
    assert first.config["sizes"] == [1, 2]


def test_always_replaces(store):
    for value in (0.1, 0.2):
        record, ran = store.get_or_run(KEY, lambda value=value: make(value=value), "always")
        assert ran
        assert record.rows[0].value == store.find(KEY).rows[0].value == value
    assert names(store) == [f"{KEY}.json"]


def test_never_reads_and_says_what_to_do_when_there_is_nothing(store):
    with pytest.raises(UserError, match=KEY) as caught:
        store.get_or_run(KEY, no_run, "never")
    assert "overwrite=missing" in caught.value.problems[0].remedy
    assert not store.root.exists()
    store.put(make())
    record, ran = store.get_or_run(KEY, no_run, "never")
    assert same(record, make())
    assert not ran


def test_an_unknown_overwrite_is_the_users_to_mend(store):
    with pytest.raises(UserError, match="overwrite=sometimes"):
        store.get_or_run(KEY, no_run, "sometimes")


def test_a_run_with_another_key_is_our_defect_and_is_not_stored(store):
    with pytest.raises(ValueError, match="with the key"):
        store.get_or_run(KEY, lambda: make(seed=1))
    assert store.keys() == []


def test_the_first_record_stays_and_other_numbers_are_told(store, caplog):
    store.put(make(value=0.1))
    kept = store.put(make(value=0.2))
    assert kept.rows[0].value == store.find(KEY).rows[0].value == 0.1
    assert "other numbers" in caplog.text
    assert store.put(make(value=0.2), replace=True).rows[0].value == 0.2
    assert store.find(KEY).rows[0].value == 0.2


def test_the_same_numbers_again_are_no_news(store, caplog):
    store.put(make())
    assert store.put(make(timings={"fit": 9.0})).timings == {"fit": 1.5}
    assert caplog.text == ""
