"""Equal settings give the same key, any other value another."""

import hashlib
import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrep_exp.store.keys import canonical_json, content_key, file_digest, is_key, require_key

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(), v, max_size=3))
PARTS = st.dictionaries(st.text(), VALUES, max_size=4)

SETTINGS = settings(max_examples=25, deadline=None, database=None, derandomize=True)

CONFIG = {
    "task": "digits_stitch",
    "seed": 1,
    "train": 1.0,
    "shuffle": True,
    "note": None,
    "zoo": {"encoders": ["vit", "mlp"], "revision": "ab" * 20, "norm": {"eps": 1e-5}},
}


def shuffled(value, rng):
    if isinstance(value, dict):
        items = [(key, shuffled(item, rng)) for key, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


def leaf_paths(value, path=()):
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [found for key, item in items for found in leaf_paths(item, (*path, key))]
    return [path]


def changed(value, path, new):
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return copy


@SETTINGS
@given(PARTS)
def test_the_order_of_the_settings_does_not_matter(parts):
    assert content_key(shuffled(parts, random.Random(0))) == content_key(parts)


@SETTINGS
@given(PARTS)
def test_the_canonical_text_holds_the_whole_value_so_that_no_two_values_share_it(parts):
    assert json.loads(canonical_json(parts)) == parts
    assert canonical_json(json.loads(canonical_json(parts))) == canonical_json(parts)


@pytest.mark.parametrize("path", leaf_paths(CONFIG), ids=str)
def test_every_single_value_matters(path):
    keys = [content_key(changed(CONFIG, path, new)) for new in ("other", 7, 7.0, False, [], {})]
    assert len({*keys, content_key(CONFIG)}) == len(keys) + 1


def test_a_setting_more_or_less_matters():
    smaller = {name: value for name, value in CONFIG.items() if name != "note"}
    assert content_key(smaller) != content_key(CONFIG)


def test_types_that_look_alike_have_different_keys():
    alike = [1, 1.0, True, "1", "1.0", "true", [1], {"1": None}]
    assert len({content_key({"x": value}) for value in alike}) == len(alike)


def test_what_means_the_same_has_the_same_key():
    assert content_key({"x": -0.0}) == content_key({"x": 0.0})
    assert content_key({"x": (1, (2,))}) == content_key({"x": [1, [2]]})
    assert content_key(MappingProxyType({"x": 1})) == content_key({"x": 1})


def test_the_key_is_the_start_of_the_sha256_of_the_canonical_text():
    assert canonical_json({"b": (1, 2.5), "a": {"é": None}}) == '{"a":{"\\u00e9":null},"b":[1,2.5]}'
    assert content_key({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()[:24]


@pytest.mark.parametrize(
    "value",
    [
        Path("x"),
        {1, 2},
        frozenset(),
        b"x",
        1j,
        pytest.param(object(), id="object"),
        range(3),
        {1: 2},
        {None: 1},
    ],
    ids=repr,
)
def test_what_has_no_identity_in_json_is_refused_with_its_place(value):
    with pytest.raises(TypeError, match=r"value\.zoo\[1\]\.where"):
        content_key({"zoo": [0, {"where": value}]})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_with_its_place(value):
    with pytest.raises(ValueError, match=r"value\.lr"):
        content_key({"lr": value})


@pytest.mark.parametrize("parts", [[1], "text", None, 3])
def test_a_key_is_made_of_a_mapping(parts):
    assert not isinstance(parts, Mapping)
    with pytest.raises(TypeError, match="mapping"):
        content_key(parts)


@pytest.mark.parametrize(
    "name", ["", "../" + "a" * 21, "A" * 24, "a" * 23, "a" * 25, "g" * 24, "a" * 24 + "\n"]
)
def test_only_a_content_key_may_become_a_path(name):
    assert not is_key(name)
    with pytest.raises(ValueError, match="not a content key"):
        require_key(name)
    assert require_key(content_key({})) == content_key({})


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path):
    data = random.Random(0).randbytes(3_000_001)
    (tmp_path / "f").write_bytes(data)
    assert file_digest(tmp_path / "f") == file_digest(str(tmp_path / "f")) == hashlib.sha256(data).hexdigest()
