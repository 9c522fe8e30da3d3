"""Shards are made once, found again after a break, and what is read is what was written."""

import json
import os
import stat
import subprocess
from contextlib import suppress

import pytest
import torch

from relrep_exp.errors import UserError
from relrep_exp.store.keys import content_key
from relrep_exp.store.shards import Plan, ShardStore

KEY, OTHER = content_key({"model": "vit"}), content_key({"model": "mlp"})
ROWS, SIZE, DIM = 10, 4, 3
PLAN = Plan(KEY, ROWS, SIZE)


def x_of(rows):
    """[n, 3], another value everywhere."""
    return torch.tensor([[row + place / 10 for place in range(DIM)] for row in rows])


class StoppedError(Exception):
    """Stands for the end of the process."""


class Make:
    """Writes shards and keeps which; may stop before one of them."""

    def __init__(self, unread=None, stop=None):
        self.made, self.unread, self.stop = [], unread or {}, stop

    def __call__(self, parts, pending):
        for shard in pending:
            if shard == self.stop:
                raise StoppedError
            rows = parts.plan.rows_of(shard)
            parts.write(shard, x_of(rows), {row: why for row, why in self.unread.items() if row in rows})
            self.made.append(shard)


@pytest.fixture
def store(tmp_path):
    return ShardStore(tmp_path / "embeddings")


def make(store, plan=PLAN, **how):
    """The shards that were made, and what came out; stopped ones come out as None."""
    maker, stored = Make(**how), None
    with suppress(StoppedError):
        stored = store.get_or_make(plan, {"model": "vit"}, maker)
    return maker.made, stored


def is_right(stored):
    return torch.equal(stored.x, x_of(range(ROWS))) and stored.ok.tolist() == [True] * ROWS


@pytest.mark.parametrize("rows, size, cut", [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (2, 1, [1, 1])])
def test_a_plan_cuts_all_rows_into_shards(rows, size, cut):
    plan = Plan(KEY, rows, size)
    shards = [plan.rows_of(shard) for shard in range(len(plan))]
    assert [len(shard) for shard in shards] == cut
    assert [row for shard in shards for row in shard] == list(range(rows))


@pytest.mark.parametrize("key, rows, size", [(KEY, 0, 4), (KEY, 4, 0), ("../elsewhere", 4, 4)])
def test_a_plan_has_rows_and_a_content_key(key, rows, size):
    with pytest.raises(ValueError):
        Plan(key, rows, size)


def test_an_entry_is_read_however_it_was_cut(store):
    make(store)
    made, stored = make(store, Plan(KEY, ROWS, 3))
    assert made == []
    assert is_right(stored)


def test_rows_that_could_not_be_read_come_back_with_their_reasons(store):
    unread = {9: "damaged", 2: "kaputt €"}
    _, stored = make(store, unread=unread)
    assert stored.unread == unread
    assert [row for row in range(ROWS) if not stored.ok[row]] == [2, 9]


def test_the_folder_holds_shards_and_a_manifest_with_the_mode_of_the_umask(store):
    old = os.umask(0o022)
    try:
        make(store)
    finally:
        os.umask(old)
    found = sorted((store.root / KEY).iterdir())
    assert [path.name for path in found] == [*(f"0000{n}.safetensors" for n in range(3)), "manifest.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o644}
    manifest = json.loads(found[-1].read_text())
    assert (manifest["key"], manifest["rows"], manifest["dim"]) == (KEY, ROWS, DIM)
    assert [shard["rows"] for shard in manifest["shards"]] == [[0, 4], [4, 8], [8, 10]]
    assert {path.name for path in store.root.iterdir()} == {KEY, ".locks"}


def test_a_shard_names_its_own_rows(store):
    from safetensors.torch import load_file

    make(store)
    assert load_file(store.root / KEY / "00002.safetensors")["rows"].tolist() == [8, 9]


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_what_was_finished_is_not_made_again(store, stop):
    first, nothing = make(store, stop=stop)
    assert nothing is None
    assert store.find(KEY) is None, "a half-made entry is no entry"
    rest, stored = make(store)
    assert first + rest == [0, 1, 2]
    assert len(first) == stop
    assert is_right(stored)
    assert {path.name for path in store.root.iterdir()} == {KEY, ".locks"}


def test_an_entry_whose_shards_are_all_finished_needs_no_maker(store, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(ShardStore, "_install", lambda *_: (_ for _ in ()).throw(StoppedError))
        assert make(store)[0] == [0, 1, 2]
    made, stored = make(store)
    assert made == []
    assert is_right(stored)


def test_a_maker_that_leaves_a_shard_out_is_found_out_and_its_work_is_kept(store):
    with pytest.raises(RuntimeError, match="shard 1 has not been made"):
        store.get_or_make(PLAN, {}, lambda parts, pending: Make()(parts, [0, 2]))
    assert store.find(KEY) is None
    assert make(store)[0] == [1]


@pytest.mark.parametrize("plan", [Plan(KEY, ROWS, 5), Plan(KEY, ROWS + 1, SIZE), Plan(KEY, ROWS - 1, SIZE)])
def test_parts_of_another_plan_are_not_used_and_removed(store, plan):
    make(store, plan, stop=len(plan) - 1)
    assert make(store)[0] == [0, 1, 2]
    assert len(list((store.root / KEY).iterdir())) == 4


def test_parts_of_another_key_are_not_used(store):
    make(store, Plan(OTHER, ROWS, SIZE), stop=2)
    (store.root / f"{OTHER}.parts").rename(store.root / f"{KEY}.parts")
    assert make(store)[0] == [0, 1, 2]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip_last_value(path):
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


DAMAGE = pytest.mark.parametrize(
    "damage", [truncate, flip_last_value, empty, os.unlink], ids=lambda f: f.__name__
)


@DAMAGE
@pytest.mark.parametrize("suffix", ["safetensors", "json"])
def test_a_damaged_part_is_made_again_and_no_other(store, damage, suffix):
    make(store, stop=2)
    damage(store.root / f"{KEY}.parts" / f"00000.{suffix}")
    made, stored = make(store)
    assert made == [0, 2]
    assert is_right(stored)


def test_what_a_killed_writer_left_is_swept_away(store):
    make(store, stop=2)
    litter = store.root / f"{KEY}.parts" / ".00002.safetensors.123-0123456789abcdef.tmp"
    litter.write_bytes(b"half")
    make(store)
    assert len(list((store.root / KEY).iterdir())) == 4


def test_shards_that_changed_places_are_noticed(store):
    make(store)
    one, other = (store.root / KEY / f"0000{n}.safetensors" for n in (0, 1))
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    assert store.find(KEY) is None


def test_a_description_that_is_not_json_is_told_before_the_work(store):
    maker = Make()
    with pytest.raises(TypeError, match=r"value\.x"):
        store.get_or_make(PLAN, {"x": {1, 2}}, maker)
    assert maker.made == []


def test_a_full_disk_keeps_finished_shards_and_is_the_users_to_mend(small_disk):
    store, plan = ShardStore(small_disk / "embeddings"), Plan(KEY, 8, 1)
    made = []

    def fill(parts, pending):
        for shard in pending:
            parts.write(shard, torch.full((1, 12_000), float(shard)), {})
            made.append(shard)

    with pytest.raises(UserError, match=r"the disk is full \(\d\.\d MiB free\)"):
        store.get_or_make(plan, {}, fill)
    assert 1 < len(made) < 8
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    stored = store.get_or_make(plan, {}, fill)
    assert made == list(range(8))
    assert torch.equal(stored.x[:, 0], torch.arange(8.0))
