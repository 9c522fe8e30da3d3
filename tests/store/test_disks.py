"""The stores on a full disk and on a read-only file system."""

import subprocess

import pytest
import torch

from relrep_exp.errors import UserError
from relrep_exp.store.files import require_writable, write_atomic
from relrep_exp.store.keys import content_key
from relrep_exp.store.records import Record, RecordStore, Row
from relrep_exp.store.tensors import TensorStore

KEY, OTHER = content_key({"seed": 0}), content_key({"seed": 1})
BIG = 2**21  # bytes, twice the disk


def tensors_of(value, size=40):
    return {"x": torch.full((size // 4,), float(value))}, {"model": "vit"}


def record_of(value, key=KEY, size=1):
    row = Row("vit", "mlp", "param-wip", "mrr", float(value))
    return Record(key, "digits_stitch", "param-wip", {"seed": 0}, [row], diagnostics={"filler": "x" * size})


def number(entry):
    [value] = entry.tensors["x"].unique().tolist()
    return value


@pytest.fixture
def stores(small_disk):
    """Both stores on the small disk, each with an entry under KEY."""
    tensors, records = TensorStore(small_disk / "embeddings"), RecordStore(small_disk / "records")
    tensors.get_or_compute(KEY, lambda: tensors_of(1))
    records.put(record_of(1))
    return tensors, records


def make_read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def test_a_full_disk_is_the_users_to_mend_and_harms_nothing(small_disk, stores):
    tensors, records = stores
    attempts = [
        lambda: tensors.get_or_compute(KEY, lambda: tensors_of(2, size=BIG), recompute=True),
        lambda: tensors.get_or_compute(OTHER, lambda: tensors_of(2, size=BIG)),
        lambda: records.get_or_run(KEY, lambda: record_of(2, size=BIG), "always"),
        lambda: records.get_or_run(OTHER, lambda: record_of(2, OTHER, size=BIG)),
        lambda: write_atomic(small_disk / "f", bytes(BIG)),
    ]
    for attempt in attempts:
        with pytest.raises(UserError, match=r"the disk is full \(\d\.\d MiB free\)") as caught:
            attempt()
        assert "paths.outputs=DIR" in caught.value.problems[0].remedy
    assert not [path for path in small_disk.rglob("*") if path.name.endswith(".tmp")]
    assert number(tensors.find(KEY)) == 1
    assert records.find(KEY).rows[0].value == 1
    assert tensors.find(OTHER) is None and records.find(OTHER) is None
    assert number(tensors.get_or_compute(OTHER, lambda: tensors_of(3))) == 3


def test_a_disk_with_no_room_left_is_found_before_computing(small_disk):
    assert require_writable(small_disk / "records") == []
    with pytest.raises(OSError), (small_disk / "filler").open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    [problem] = require_writable(small_disk / "records")
    assert "the disk is full (0.0 MiB free)" in problem.what


def test_a_read_only_folder_is_read_and_writing_is_the_users_to_mend(small_disk, stores):
    tensors, records = stores
    first = records.find(KEY)
    make_read_only(small_disk)

    def never():
        raise AssertionError("computed although it cannot be stored")

    assert number(tensors.get_or_compute(KEY, never)) == 1
    assert number(tensors.find(KEY)) == 1
    assert tensors.find(OTHER) is None
    assert records.get_or_run(KEY, never) == (first, False)
    assert records.get_or_run(KEY, never, "never") == (first, False)
    assert records.find(KEY) == first
    attempts = [
        lambda: tensors.get_or_compute(OTHER, never),
        lambda: tensors.get_or_compute(KEY, never, recompute=True),
        lambda: records.get_or_run(OTHER, never),
        lambda: records.get_or_run(KEY, never, "always"),
        lambda: write_atomic(small_disk / "f", b"x"),
    ]
    for attempt in attempts:
        with pytest.raises(UserError, match="the file system is read-only"):
            attempt()
    [problem] = require_writable(small_disk / "records")
    assert "the file system is read-only" in problem.what


def test_what_is_corrupt_in_a_read_only_folder_is_missing_and_stays(small_disk, stores, caplog):
    tensors, records = stores
    (tensors.root / KEY / "data.safetensors").write_bytes(b"x")
    records.path(KEY).write_bytes(b"x")
    make_read_only(small_disk)
    assert tensors.find(KEY) is None
    assert records.find(KEY) is None
    assert caplog.text.count("cannot be moved aside") == 2
    assert records.path(KEY).read_bytes() == b"x"
