"""A store in which something else lies where a file belongs: told, or made anew, and never waited for."""

import json
import os

import pytest

from relrep_exp.errors import UserError
from relrep_exp.store.files import CorruptError, seal, unseal
from relrep_exp.store.keys import content_key
from relrep_exp.store.records import Record, RecordStore, Row

KEY = content_key({"seed": 0})


def record():
    return Record(KEY, "digits_stitch", "random-wip", {"seed": 0}, [Row("a", "b", "random-wip", "mrr", 0.5)])


def to_zero(path):
    path.symlink_to("/dev/zero")


def to_nothing(path):
    path.symlink_to(path.with_name("nothing"))


def nested(path):
    path.write_text('{"schema": 1, "a": ' + "[" * 100_000 + "]" * 100_000 + "}")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [os.mkfifo, to_zero, to_nothing, nested], ids=lambda make: make.__name__)
def test_what_is_no_record_is_replaced(tmp_path, make):
    store = RecordStore(tmp_path)
    make(store.path(KEY))
    assert store.parsed() == {}
    made, fresh = store.get_or_run(KEY, record)
    assert fresh and made == record()
    assert store.read(KEY) == record()


def to_itself(path):
    path.symlink_to(path)


@pytest.mark.parametrize(("make", "why"), [(to_itself, "leads to itself"), (os.mkdir, "a folder is where")])
def test_what_cannot_be_replaced_is_told(tmp_path, make, why):
    store = RecordStore(tmp_path)
    make(store.path(KEY))
    with pytest.raises(UserError, match=why) as caught:
        store.get_or_run(KEY, record)
    assert str(store.path(KEY)) in caught.value.problems[0].what


@pytest.mark.parametrize("depth", [10_000, 100_000])
def test_deeply_nested_json_is_corrupt(depth):
    inner = "[" * depth + "]" * depth
    with pytest.raises(CorruptError):
        unseal('{"schema": 1, "a": ' + inner + ', "checksum": "x"}', 1)
    assert unseal(seal({"schema": 1, "a": json.loads("[" * 200 + "]" * 200)}), 1)["schema"] == 1


def test_a_long_name_of_the_folder_is_told(tmp_path):
    store = RecordStore(tmp_path / ("z" * 300) / "records")
    with pytest.raises(UserError, match="the path is too long"):
        store.get_or_run(KEY, record)
