"""Tensors of any layout are stored, and what replaces them leaves nothing."""

import pytest
import torch

from relrep_exp.store.keys import content_key
from relrep_exp.store.tensors import TensorStore

KEY = content_key({"model": "vit"})


@pytest.fixture
def store(tmp_path):
    return TensorStore(tmp_path / "embeddings")


def test_recompute_replaces_removes_the_old_and_leaves_readable_what_was_read(store):
    read = []
    for call in (1, 2, 3):
        described = {"call": call, "shape": (4, 3)}
        made = store.get_or_compute(
            KEY, lambda d=described: ({"x": torch.ones(4) * d["call"]}, d), recompute=True
        )
        read.append(store.find(KEY))
        assert (made.computed, read[-1].computed) == (True, False)
        assert made.describe == read[-1].describe == {"call": call, "shape": [4, 3]}
    assert [entry.tensors["x"].tolist() for entry in read] == [[call] * 4 for call in (1.0, 2.0, 3.0)]
    assert {path.name for path in store.root.iterdir()} == {KEY, ".locks"}


def test_any_layout_and_shared_memory_are_stored(store):
    base = torch.arange(12.0).reshape(3, 4).requires_grad_()
    tensors = {"t": base.T, "half": base[:2], "same": base, "again": base, "empty": torch.empty(0, 5)}
    tensors["ids"] = torch.arange(4)
    stored = store.get_or_compute(KEY, lambda: (tensors, {}))
    found = store.find(KEY)
    assert list(found.tensors) == list(stored.tensors) == sorted(tensors)
    for name, tensor in tensors.items():
        for entry in (stored, found):
            assert torch.equal(entry.tensors[name], tensor.detach())
            assert entry.tensors[name].dtype == tensor.dtype
            assert entry.tensors[name].is_contiguous()
            assert not entry.tensors[name].requires_grad


@pytest.mark.parametrize("describe", [{"x": {1, 2}}, {"x": float("nan")}])
def test_a_description_that_is_not_json_leaves_nothing(store, describe):
    with pytest.raises((TypeError, ValueError), match=r"value\.x"):
        store.get_or_compute(KEY, lambda: ({"x": torch.ones(1)}, describe))
    assert {path.name for path in store.root.iterdir()} == {".locks"}
