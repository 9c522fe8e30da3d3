"""What the stores have in common: a thing is made once, whole or absent, and read as it was written."""

import json
import logging
import os
import stat
import subprocess
import sys
import threading

import pytest
import torch

from relrep_exp.store.keys import content_key
from relrep_exp.store.records import Record, RecordStore, Row
from relrep_exp.store.shards import Plan, ShardStore
from relrep_exp.store.tensors import TensorStore

KEY, OTHER = content_key({"model": "vit"}), content_key({"model": "mlp"})


class Tensors:
    store, place, files = TensorStore, KEY, ("data.safetensors", "manifest.json")

    @staticmethod
    def put(store, make, key=KEY):
        return store.get_or_compute(key, lambda: ({"x": torch.full((5,), float(n := make()))}, {"made": n}))

    @staticmethod
    def number(entry):
        assert entry.tensors["x"].tolist() == [entry.describe["made"]] * 5
        return entry.describe["made"]


class Shards:
    store, place, files = ShardStore, KEY, ("00001.safetensors", "manifest.json")

    @staticmethod
    def put(store, make, key=KEY):
        def shards(parts, pending):
            number = make()
            for shard in pending:
                parts.write(shard, torch.full((len(parts.plan.rows_of(shard)), 3), float(number)), {})

        return store.get_or_make(Plan(key, 5, 2), {"model": "vit"}, shards)

    @staticmethod
    def number(stored):
        assert stored.x.shape == (5, 3) and stored.ok.all() and stored.describe == {"model": "vit"}
        [number] = stored.x.unique().tolist()
        return number


class Records:
    store, place, files = RecordStore, f"{KEY}.json", ("",)

    @staticmethod
    def put(store, make, key=KEY):
        def run():
            number = float(make())
            rows = [Row("a", "b", "param-wip", metric, number) for metric in ("mrr", "cka")]
            return Record(key, "digits_stitch", "param-wip", {"seed": 0}, rows)

        return store.get_or_run(key, run)[0]

    @staticmethod
    def number(record):
        [number] = {row.value for row in record.rows}
        return number


@pytest.fixture(params=[Tensors, Shards, Records], ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.fixture
def store(kind, tmp_path):
    return kind.store(tmp_path / "things")


def names(store):
    return {path.name for path in store.root.iterdir()} - {".locks"}


def test_it_is_made_once_and_then_read(kind, store):
    assert store.find(KEY) is None
    assert kind.number(kind.put(store, lambda: 1)) == kind.number(kind.put(store, lambda: 2)) == 1
    assert kind.number(kind.store(store.root).find(KEY)) == 1
    assert store.find(OTHER) is None
    assert names(store) == {kind.place}


def test_files_have_the_mode_of_the_umask(kind, store):
    old = os.umask(0o022)
    try:
        kind.put(store, lambda: 1)
    finally:
        os.umask(old)
    found = [path for path in store.root.rglob("*") if path.is_file() and ".locks" not in path.parts]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o644}


def test_what_fails_leaves_nothing_and_the_next_succeeds(kind, store):
    with pytest.raises(ZeroDivisionError):
        kind.put(store, lambda: 1 / 0)
    assert store.find(KEY) is None and kind.place not in names(store)
    assert kind.number(kind.put(store, lambda: 1)) == 1


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip, empty, os.unlink], ids=lambda damage: damage.__name__)
def test_what_is_damaged_is_moved_aside_with_a_warning_and_made_anew(kind, store, caplog, damage):
    if kind is Records and damage is os.unlink:
        pytest.skip("a record is its file")
    kind.put(store, lambda: 0)
    for number, file in enumerate(kind.files, 1):
        caplog.clear()
        damage(store.root / kind.place / file)
        with caplog.at_level(logging.WARNING, "relrep_exp"):
            assert store.find(KEY) is None
        assert "corrupt" in caplog.text and str(store.root / kind.place) in caplog.text
        assert f"{kind.place}.corrupt-{number}" in names(store)
        assert kind.number(kind.put(store, lambda number=number: number)) == number
    damage(store.root / kind.place / file)
    assert kind.number(kind.put(store, lambda: 9)) == kind.number(store.find(KEY)) == 9


def test_no_flipped_bit_is_ever_served(kind, store):
    kind.put(store, lambda: 1)
    for file in kind.files:
        path, lost = store.root / kind.place / file, 0
        good = path.read_bytes()
        flips = range(0, len(good), 11)
        for index in flips:
            path.write_bytes(good[:index] + bytes([good[index] ^ (1 << index % 7)]) + good[index + 1 :])
            if (found := store.find(KEY)) is None:
                lost += 1
                for aside in store.root.glob("*.corrupt-*"):
                    aside.rename(store.root / kind.place)
            else:  # a blank between fields became another blank
                assert kind.number(found) == 1
        assert lost > 0.8 * len(flips)
        path.write_bytes(good)
    assert kind.number(store.find(KEY)) == 1


def test_a_thing_under_the_wrong_key_is_corrupt(kind, store):
    kind.put(store, lambda: 1)
    store.path(KEY).rename(store.path(OTHER))
    assert store.find(OTHER) is None
    assert names(store) == {f"{store.path(OTHER).name}.corrupt-1"}


def test_another_schema_is_explained_left_alone_and_made_anew(kind, store, caplog):
    kind.put(store, lambda: 1)
    path = store.root / kind.place / kind.files[-1]
    text = path.read_text().replace(f'"schema": {store.schema}', '"schema": 7')
    path.write_text(text)
    assert store.find(KEY) is None
    assert "schema 7" in caplog.text and "run again" in caplog.text
    assert path.read_text() == text
    assert kind.number(kind.put(store, lambda: 2)) == kind.number(store.find(KEY)) == 2
    if kind is Records:  # which cannot be computed from what else is there
        assert (store.root / f"{KEY}.json.schema-7-1").read_text() == text


def test_a_good_one_that_came_meanwhile_is_not_moved_aside(kind, store, monkeypatch):
    """A reader saw garbage; before it had the lock, a writer replaced it."""
    kind.put(store, lambda: 1)
    path = store.root / kind.place / kind.files[-1]
    good, read = path.read_bytes(), kind.store.read
    path.write_bytes(b"garbage")

    def read_then_mend(self, key):
        try:
            return read(self, key)
        finally:
            path.write_bytes(good)

    monkeypatch.setattr(kind.store, "read", read_then_mend)
    assert kind.number(store.find(KEY)) == 1
    assert names(store) == {kind.place}


def test_a_reader_does_not_wait_for_who_replaces_what_is_corrupt(kind, store):
    kind.put(store, lambda: 1)
    path, started, finish = store.root / kind.place / kind.files[-1], threading.Event(), threading.Event()
    path.write_bytes(b"garbage")

    def make():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"garbage again")
        started.set()
        assert finish.wait(10)
        return 2

    thread = threading.Thread(target=kind.put, args=(store, make))
    thread.start()
    assert started.wait(10)
    assert store.find(KEY) is None
    finish.set()
    thread.join()
    assert kind.number(store.find(KEY)) == 2


def test_changing_what_was_read_does_not_change_the_store(kind, store):
    if kind is not Records:
        kind.put(store, lambda: 1)
        found = store.find(KEY)
        (found.tensors["x"] if kind is Tensors else found.x).zero_()
        assert kind.number(store.find(KEY)) == 1


def test_only_a_content_key_is_a_key(store):
    with pytest.raises(ValueError, match="not a content key"):
        store.find("../elsewhere")


def test_a_manifest_says_what_there_is(kind, store):
    kind.put(store, lambda: 1)
    fields = json.loads((store.root / kind.place / kind.files[-1]).read_text())
    schemas = {Tensors: 1, Shards: 2, Records: 1}
    assert (fields["schema"], fields["key"]) == (schemas[kind], KEY)


def test_the_stores_are_imported_without_torch():
    modules = "from relrep_exp import load_records; import relrep_exp.store.tensors, relrep_exp.store.shards"
    code = f"import sys; {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
