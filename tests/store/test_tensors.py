"""An embedding is computed once, and what is read is what was computed."""

import json
import logging
import os
import shutil
import stat
import subprocess
import sys

import pytest
import torch

from relrep_exp.store.keys import content_key
from relrep_exp.store.tensors import TensorStore

KEY, OTHER = content_key({"model": "vit"}), content_key({"model": "mlp"})


class Compute:
    """Counts its calls; the n-th call returns tensors full of n."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        ids = torch.arange(4)
        x = torch.full((4, 3), float(self.calls))
        return {"x": x, "ids": ids}, {"model": "vit", "call": self.calls, "shape": (4, 3)}


@pytest.fixture
def store(tmp_path):
    return TensorStore(tmp_path / "embeddings")


def value(entry):
    assert entry is not None
    assert entry.tensors["x"].unique().tolist() == [entry.describe["call"]]
    return entry.describe["call"]


def corrupt_names(store):
    return sorted(path.name for path in store.root.iterdir() if "corrupt" in path.name)


def test_it_is_computed_once_and_then_read(store):
    compute = Compute()
    first, second = store.get_or_compute(KEY, compute), store.get_or_compute(KEY, compute)
    assert compute.calls == 1
    assert (first.computed, second.computed) == (True, False)
    found = store.find(KEY)
    for entry in (second, found):
        assert list(entry.tensors) == list(first.tensors) == ["ids", "x"]
        assert all(torch.equal(entry.tensors[name], first.tensors[name]) for name in first.tensors)
        assert [t.dtype for t in entry.tensors.values()] == [torch.int64, torch.float32]
        assert entry.describe == first.describe == {"model": "vit", "call": 1, "shape": [4, 3]}


def test_another_store_of_the_same_folder_finds_it_and_another_key_is_missing(store):
    store.get_or_compute(KEY, Compute())
    assert value(TensorStore(store.root).find(KEY)) == 1
    assert store.find(OTHER) is None
    assert store.keys() == [KEY]


def test_keys_are_sorted_and_nothing_but_entries(store):
    assert store.keys() == []
    for key in (KEY, OTHER):
        store.get_or_compute(key, Compute())
    shutil.copytree(store.root / KEY, store.root / f"{KEY}.corrupt-1")
    (store.root / "notes").mkdir()
    assert store.keys() == sorted([KEY, OTHER])


def test_the_folder_holds_two_files_with_the_mode_of_the_umask(store):
    old = os.umask(0o022)
    try:
        store.get_or_compute(KEY, Compute())
    finally:
        os.umask(old)
    found = sorted((store.root / KEY).iterdir())
    assert [path.name for path in found] == ["data.safetensors", "manifest.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o644}
    manifest = json.loads(found[1].read_text())
    assert (manifest["schema"], manifest["key"]) == (1, KEY)
    assert manifest["describe"]["model"] == "vit"
    assert {path.name for path in store.root.iterdir()} == {KEY, ".locks"}


def test_recompute_replaces_and_removes_the_old(store):
    compute = Compute()
    for call in (1, 2, 3):
        assert value(store.get_or_compute(KEY, compute, recompute=True)) == call
        assert value(store.find(KEY)) == call
    assert {path.name for path in store.root.iterdir()} == {KEY, ".locks"}


def test_what_was_read_before_a_recompute_stays_readable(store):
    compute = Compute()
    store.get_or_compute(KEY, compute)
    old = store.find(KEY)
    store.get_or_compute(KEY, compute, recompute=True)
    assert value(old) == 1


def test_changing_a_tensor_in_memory_does_not_change_the_store(store):
    store.get_or_compute(KEY, Compute())
    store.find(KEY).tensors["x"].zero_()
    assert value(store.find(KEY)) == 1


def test_any_layout_and_shared_memory_are_stored(store):
    base = torch.arange(12.0).reshape(3, 4).requires_grad_()
    tensors = {"t": base.T, "half": base[:2], "same": base, "again": base, "empty": torch.empty(0, 5)}
    stored = store.get_or_compute(KEY, lambda: (tensors, {}))
    found = store.find(KEY)
    assert found.tensors.keys() == stored.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        for entry in (stored, found):
            assert torch.equal(entry.tensors[name], tensor.detach())
            assert entry.tensors[name].is_contiguous()
            assert not entry.tensors[name].requires_grad


def test_a_failed_computation_leaves_nothing_and_the_next_succeeds(store):
    def fail():
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        store.get_or_compute(KEY, fail)
    assert store.find(KEY) is None
    assert value(store.get_or_compute(KEY, Compute())) == 1


@pytest.mark.parametrize("describe", [{"x": {1, 2}}, {"x": float("nan")}])
def test_a_description_that_is_not_json_leaves_nothing(store, describe):
    with pytest.raises((TypeError, ValueError), match=r"value\.x"):
        store.get_or_compute(KEY, lambda: ({"x": torch.ones(1)}, describe))
    assert store.keys() == []
    assert {path.name for path in store.root.iterdir()} == {".locks"}


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip_last_value(path):
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip_last_value, empty, os.unlink], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["data.safetensors", "manifest.json"])
def test_a_damaged_entry_is_moved_aside_with_a_warning_and_computed_anew(store, caplog, name, damage):
    compute = Compute()
    store.get_or_compute(KEY, compute)
    damage(store.root / KEY / name)
    with caplog.at_level(logging.WARNING, "relrep_exp"):
        assert store.find(KEY) is None
    assert corrupt_names(store) == [f"{KEY}.corrupt-1"]
    assert "corrupt" in caplog.text and KEY in caplog.text
    assert value(store.get_or_compute(KEY, compute)) == 2
    damage(store.root / KEY / name)
    assert value(store.get_or_compute(KEY, compute)) == 3
    assert corrupt_names(store) == [f"{KEY}.corrupt-1", f"{KEY}.corrupt-2"]
    assert value(store.find(KEY)) == 3


def test_no_flipped_bit_is_ever_served(store):
    first = store.get_or_compute(KEY, Compute())
    for name, step in (("data.safetensors", 7), ("manifest.json", 11)):
        path = store.root / KEY / name
        good = path.read_bytes()
        for index in range(0, len(good), step):
            path.write_bytes(good[:index] + bytes([good[index] ^ (1 << index % 8)]) + good[index + 1 :])
            found = store.find(KEY)
            if found is None:
                for aside in store.root.glob("*.corrupt-*"):
                    aside.rename(store.root / KEY)
            else:  # white space between the fields
                assert found.describe == first.describe
                assert torch.equal(found.tensors["x"], first.tensors["x"])
        path.write_bytes(good)
    assert value(store.find(KEY)) == 1


def test_an_entry_under_the_wrong_key_is_corrupt(store):
    store.get_or_compute(KEY, Compute())
    (store.root / KEY).rename(store.root / OTHER)
    assert store.find(OTHER) is None
    assert corrupt_names(store) == [f"{OTHER}.corrupt-1"]


def test_an_entry_of_another_schema_is_explained_and_computed_anew(store, caplog):
    compute = Compute()
    store.get_or_compute(KEY, compute)
    manifest = store.root / KEY / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema": 1', '"schema": 2'))
    assert store.find(KEY) is None
    assert "schema 2" in caplog.text
    assert manifest.exists()
    assert value(store.get_or_compute(KEY, compute)) == 2


def test_only_a_content_key_is_a_key(store):
    for call in (store.find, lambda key: store.get_or_compute(key, Compute())):
        with pytest.raises(ValueError, match="not a content key"):
            call("../elsewhere")


def test_the_stores_are_imported_without_torch():
    code = "import sys, relrep_exp.store.records, relrep_exp.store.tensors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
