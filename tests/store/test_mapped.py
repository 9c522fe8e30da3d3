"""Rows that stay in files are those in memory, and what is wrong with a file is told before it is used."""

import logging
import subprocess
import sys
import time
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from relrep_exp.errors import UserError
from relrep_exp.store.files import write_npy
from relrep_exp.store.keys import content_key
from relrep_exp.store.mapped import FileRows
from relrep_exp.store.shards import Plan, ShardStore

X = torch.randn(23, 5, generator=torch.Generator().manual_seed(0))
KEY = content_key({"model": "vit"})


def in_files(folder, x=X, cuts=(0, 7, 8, 20, 23)):
    """x in one file after the other, of both kinds by turns."""
    paths = []
    for number, (start, stop) in enumerate(pairwise(cuts)):
        paths.append(folder / f"{number}{('.npy', '.safetensors')[number % 2]}")
        part = x[start:stop].clone()
        if number % 2:
            save_file({"x": part, "labels": torch.arange(stop - start)}, paths[-1])
        else:
            np.save(paths[-1], part.numpy())
    return paths


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_slices_picks_and_masks_are_those_of_the_tensor(tmp_path, dtype):
    rows, x = FileRows.open(in_files(tmp_path, X.to(dtype))), X.to(dtype)
    x = x.float() if dtype == torch.float16 else x
    assert (len(rows), rows.shape, rows.dtype) == (23, (23, 5), x.dtype)
    edges = (-3, 0, 6, 7, 8, 9, 20, 22, 23, 25)  # within files, between them and beyond
    for start, stop in product(edges, edges):
        assert torch.equal(rows[start:stop], x[start:stop])
    order = torch.tensor([22, 0, 7, 7, 8, 19, 3])
    assert torch.equal(rows[order], x[order])
    assert torch.equal(rows[x[:, 0] > 0], x[x[:, 0] > 0])
    assert torch.equal(rows[:], x)


def test_bfloat16_is_read_as_float32(tmp_path):
    save_file({"x": X.bfloat16()}, tmp_path / "x.safetensors")
    assert torch.equal(FileRows.open(tmp_path / "x.safetensors")[3:9], X.bfloat16()[3:9].float())


def test_changing_a_slice_changes_no_file(tmp_path):
    rows = FileRows.open(in_files(tmp_path))
    rows[0:5].zero_()
    assert torch.equal(rows[0:5], X[0:5])


def test_a_file_with_several_matrices_is_read_by_the_name_of_one(tmp_path):
    path = tmp_path / "zoo.safetensors"
    save_file({"a": X, "b": 2 * X}, path)
    assert torch.equal(FileRows.open(str(path), array="b")[:], 2 * X)
    with pytest.raises(UserError, match=r"has a, b\n.*array=NAME"):
        FileRows.open(path)
    with pytest.raises(UserError, match="no array 'c'"):
        FileRows.open(path, array="c")


def faulty(folder):
    """Files that cannot be read, each with what is said of it."""
    whole = in_files(folder)
    cut = [folder / f"cut{path.suffix}" for path in whole[:2]]
    for path, short in zip(whole, cut, strict=False):
        short.write_bytes(path.read_bytes()[:-1])
    np.save(folder / "whole.npy", np.arange(6).reshape(2, 3))
    np.save(folder / "cube.npy", np.zeros((2, 3, 4)))
    np.save(folder / "columns.npy", np.asfortranarray(np.ones((2, 3))))
    np.save(folder / "swapped.npy", np.ones((2, 3), ">f4"))
    np.save(folder / "none.npy", np.ones((0, 3)))
    save_file({"labels": torch.arange(3)}, folder / "labels.safetensors")
    for name in ("empty.npy", "empty.safetensors"):
        (folder / name).write_bytes(b"")
    (folder / "text.safetensors").write_text("no tensors at all, but some words")
    header = b'{"x": {"dtype": "F32", "shape": [2, 3]}}'
    (folder / "placeless.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (folder / "text.npy").write_text("no array at all, but some words")
    (folder / "x.npz").write_bytes(b"")
    (folder / "folder.npy").mkdir()
    return {
        cut[0]: "is truncated",
        cut[1]: "is truncated",
        folder / "whole.npy": r"is <i8 \[2, 3\]",
        folder / "cube.npy": r"is <f8 \[2, 3, 4\]",
        folder / "columns.npy": "in columns",
        folder / "swapped.npy": "is >f4",
        folder / "none.npy": "nothing in it",
        folder / "labels.safetensors": "no matrix of floats",
        folder / "empty.npy": "not a readable .npy",
        folder / "empty.safetensors": "not a readable .safetensors",
        folder / "placeless.safetensors": "not a readable .safetensors",
        folder / "text.npy": "not a readable .npy",
        folder / "text.safetensors": "not a readable .safetensors",
        folder / "x.npz": "save as .npy or .safetensors",
        folder / "folder.npy": "Is a directory",
        folder / "nothing.npy": "No such file",
    }


def test_everything_wrong_with_files_is_told_at_once(tmp_path):
    said = faulty(tmp_path)
    with pytest.raises(UserError) as caught:
        FileRows.open([*said, tmp_path / "0.npy"])
    for problem, (path, words) in zip(caught.value.problems, said.items(), strict=True):
        assert str(path) in problem.what
        with pytest.raises(UserError, match=words):
            FileRows.open(path)


def test_files_that_are_not_alike_are_refused(tmp_path):
    for name, x in (("a", X), ("b", X[:, 1:]), ("c", X.double())):
        np.save(tmp_path / f"{name}.npy", x.numpy())
    with pytest.raises(UserError, match="give files that are alike") as caught:
        FileRows.open([tmp_path / f"{name}.npy" for name in "abc"])
    assert len(caught.value.problems) == 2
    with pytest.raises(UserError, match="no file given"):
        FileRows.open([])


def test_rows_that_there_are_not_are_refused(tmp_path):
    rows = FileRows.open(in_files(tmp_path))
    mask = torch.ones(24, dtype=torch.bool)
    numbers = (torch.tensor([23]), torch.tensor([-24]), [23], np.array([-24]), 23, -24)
    others = (
        mask,
        mask[:22],
        mask[:23, None].repeat(1, 5),
        mask[:22].numpy(),
        torch.tensor([[0, 1]]),
        [0.5],
        0.5,
        True,
        None,
        "a",
        (0, 1),
    )
    for wanted in (*numbers, *others):
        with pytest.raises(IndexError, match="row"):
            rows[wanted]


def test_it_is_indexed_iterated_and_read_by_numpy_as_the_tensor(tmp_path):
    rows = FileRows.open(in_files(tmp_path))
    wanted = (0, -1, np.int64(8), torch.tensor(22), [-1, 0, -23], slice(0, 20, 3), slice(None, None, -2))
    for one in wanted:
        at = [*range(23)[one]] if isinstance(one, slice) else one  # torch has no negative step
        assert torch.equal(rows[one], X[at])
    assert torch.equal(rows[[3, 1], :], X[[3, 1]]) and torch.equal(rows[np.array([3]), ...], X[[3]])
    assert torch.equal(torch.stack(list(rows)), X)
    for read in (np.asarray(rows), np.array(rows), np.asarray(rows, "float64")):
        assert np.array_equal(read, X.numpy())
    assert np.asarray(rows, "float64").dtype == np.float64 and (rows.ndim, rows.device.type) == (2, "cpu")


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_a_file_that_was_rewritten_after_opening_is_told(tmp_path, suffix):
    def write(x):
        path = tmp_path / f"x{suffix}"
        np.save(path, x.numpy()) if suffix == ".npy" else save_file({"x": x}, path)
        return path

    rows = FileRows.open(write(X))
    assert torch.equal(rows[0], X[0])
    time.sleep(0.02)  # beyond the clock of the file system
    write(2 * X)  # of the same size
    for read in (lambda: rows[0:2], lambda: rows[[1]], lambda: np.asarray(rows)):
        with pytest.raises(UserError, match=r"not what it was when it was opened(.|\n)*open it again"):
            read()


def test_lists_and_arrays_pick_rows_too(tmp_path):
    rows = FileRows.open(in_files(tmp_path))
    for wanted in ([22, 0, 7], np.array([22, 0, 7]), torch.tensor([22, 0, 7], dtype=torch.uint8)):
        assert torch.equal(rows[wanted], X[[22, 0, 7]])
    assert torch.equal(rows[X[:, 0].numpy() > 0], X[X[:, 0] > 0])
    assert rows[[]].shape == (0, 5)


def test_a_file_that_shrank_after_opening_is_told(tmp_path):
    path = in_files(tmp_path)[0]
    rows = FileRows.open(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="not what it was"):
        rows[5:7]


def stored(root, unread):
    """X in a store, in shards of 4 rows."""
    store = ShardStore(root)

    def make(parts, pending):
        for shard in pending:
            rows = parts.plan.rows_of(shard)
            parts.write(shard, X[rows.start : rows.stop], {row: "damaged" for row in unread if row in rows})

    store.get_or_make(Plan(KEY, len(X), 4), {}, make)
    return store


@pytest.mark.parametrize("unread", [(), (0,), (3, 4, 5), (22,), (8, 9, 10, 11)])
def test_an_entry_in_files_is_the_entry_in_memory_without_what_was_not_read(tmp_path, unread):
    store = stored(tmp_path, unread)
    whole = store.find(KEY)
    rows = store.rows(KEY)
    assert len(rows) == len(X) - len(unread)
    assert torch.equal(rows[:], whole.x[whole.ok])
    assert store.rows(content_key({"model": "mlp"})) is None


@pytest.mark.parametrize("damage", ["truncate", "flip", "unlink"])
def test_a_damaged_entry_is_moved_aside_before_a_row_is_read(tmp_path, caplog, damage):
    store = stored(tmp_path, ())
    path = tmp_path / KEY / "00003.safetensors"
    data = path.read_bytes()
    acts = {
        "truncate": lambda: path.write_bytes(data[:-5]),
        "flip": lambda: path.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]),
        "unlink": path.unlink,
    }
    acts[damage]()
    with caplog.at_level(logging.WARNING, "relrep_exp"):
        assert store.rows(KEY) is None
    assert "00003.safetensors" in caplog.text
    assert (tmp_path / f"{KEY}.corrupt-1").is_dir()


def test_blocks_become_one_npy_that_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "x.npy"
    write_npy(path, len(X), X.split(6))
    assert np.array_equal(np.load(path, mmap_mode="r"), X.numpy())

    def fails():
        yield X[:6]
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        write_npy(path, len(X), fails())
    assert np.array_equal(np.load(path), X.numpy())
    assert list(path.parent.iterdir()) == [path]


def test_a_disk_without_room_is_found_before_the_work(small_disk):
    taken = []

    def blocks():
        for _ in range(100):
            taken.append(1)
            yield torch.zeros(1000, 10)

    with pytest.raises(UserError, match=r"needs 3\.8 MiB, the disk has 0\.\d MiB free"):
        write_npy(small_disk / "x.npy", 100_000, blocks())
    assert len(taken) == 1
    assert list(small_disk.iterdir()) == []


_PEAKS = """
import sys, torch
from relrep_exp import AnchorSet, FileRows, RelativeSpace
from relrep_exp.alignment import whitening as moments

moments.BLOCK_ELEMENTS = 2**17  # the memory there is: small beside what must not be held

def anonymous():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("RssAnon")).split()[1]) / 1024

class Watched(FileRows):
    peak = 0.0
    def __getitem__(self, rows):
        Watched.peak = max(self.peak, anonymous())
        return super().__getitem__(rows)

def peak(copies):
    x, Watched.peak = Watched.open([sys.argv[1]] * copies), 0.0
    assert len(x) == 4_000 * copies
    space = RelativeSpace(AnchorSet.picking(torch.arange(100), torch.arange(20)))
    space.join("a", x[torch.arange(100)], metric=x).transform_file(x, "a", out=sys.argv[2])
    return Watched.peak

peak(2)
print(peak(2), peak(12))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_anonymous_memory_does_not_grow_with_the_rows(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((4_000, 256), dtype=np.float32))
    command = [sys.executable, "-c", _PEAKS, str(tmp_path / "x.npy"), str(tmp_path / "out.npy")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    few, many = map(float, done.stdout.split())
    assert many - few < 5.0, "MiB more for 40,000 rows, 39 MiB, more"
