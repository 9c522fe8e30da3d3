"""Embeddings of any kind at every public door: the same numbers, given back as what was given, or refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from relrep_exp import (
    AnchorSet,
    Consensus,
    FileRows,
    Gpa,
    InverseRelative,
    RelativeSpace,
    RidgeCca,
    Space,
    Translation,
    Whitening,
)

N, K = 40, 30
LATENT = np.random.default_rng(0).normal(size=(N, 3))
# Small whole numbers, which half precision and integers hold exactly.
VIEWS = {
    name: np.round(6 * (LATENT @ np.random.default_rng(seed).normal(size=(3, d)) + seed))
    for seed, (name, d) in enumerate((("a", 3), ("b", 4), ("c", 5)), 1)
}


def in_file(x, folder):
    path = folder / f"{x.shape}{x.sum()}.npy"
    np.save(path, x)
    return FileRows.open(path)


def mapped(x, folder):
    path = folder / f"{x.shape}{x.sum()}.npy"
    np.save(path, x)
    return np.load(path, mmap_mode="r")


# What is given of x float64 [N, d], and whether a tensor comes back.
KINDS = {
    "float64": (lambda x, _: torch.from_numpy(x), True),
    "float32": (lambda x, _: torch.from_numpy(x).float(), True),
    "float16": (lambda x, _: torch.from_numpy(x).half(), True),
    "bfloat16": (lambda x, _: torch.from_numpy(x).bfloat16(), True),
    "integer tensor": (lambda x, _: torch.from_numpy(x).int(), True),
    "with gradient": (lambda x, _: torch.from_numpy(x).requires_grad_() * 1.0, True),
    "not contiguous": (lambda x, _: torch.from_numpy(x.T.copy()).T, True),
    "rows of files": (in_file, True),
    "numpy float64": (lambda x, _: x, False),
    "numpy float32": (lambda x, _: x.astype("float32"), False),
    "numpy float16": (lambda x, _: x.astype("float16"), False),
    "numpy integers": (lambda x, _: x.astype("int16"), False),
    "numpy objects": (lambda x, _: x.astype(object), False),
    "numpy big-endian": (lambda x, _: x.astype(">f4"), False),
    "numpy reversed": (lambda x, _: x[::-1].copy()[::-1], False),
    "numpy memory map": (mapped, False),
    "pandas": (lambda x, _: pd.DataFrame(x), False),
    "pandas mixed": (lambda x, _: pd.DataFrame(x).astype({0: "float32", 1: "int64"}), False),
    "pandas nullable": (lambda x, _: pd.DataFrame(x).astype("Float64"), False),
    "lists": (lambda x, _: x.tolist(), False),
    "list of tensors": (lambda x, _: list(torch.from_numpy(x)), False),
}


def spaced(make):
    """Fit on two views, let the third join, bring a view of each into the space."""

    def run(give):
        space = make().fit({name: give(VIEWS[name][:K]) for name in "ab"})
        space.join("c", give(VIEWS["c"][:K]))
        return [space.transform(give(VIEWS[name]), name) for name in "ac"]

    return run


def relative(give):
    space = RelativeSpace("random", m=5, support=K).fit({"a": give(VIEWS["a"]), "b": Space(give(VIEWS["b"]))})
    space.join("c", give(VIEWS["c"][space.support_ids]), metric=give(VIEWS["c"]))
    [block] = space.transform_blocks(give(VIEWS["c"]), "c")
    return [space.transform(give(VIEWS["a"]), "a"), block]


def translated(make):
    def run(give):
        made = make().fit(give(VIEWS["a"][:K]), y=give(VIEWS["b"][:K]))
        assert 0 < made.score(give(VIEWS["a"]), give(VIEWS["b"])) <= 1
        return [made.transform(give(VIEWS["a"]))]

    return run


def mixed(give):
    weights = np.eye(4)[[0, 2]]
    return [
        AnchorSet(ids, weights.tolist()).mix(give(VIEWS["a"][:4]))
        for ids in (range(4), np.arange(4), torch.arange(4))
    ]


CLASSES = {
    "RelativeSpace": relative,
    "Consensus": spaced(lambda: Consensus(2, 0.1, features=5)),
    "Gpa": spaced(Gpa),
    "RidgeCca": spaced(lambda: RidgeCca(2, 0.1)),
    "Translation": translated(lambda: Translation("linear")),
    "InverseRelative": translated(lambda: InverseRelative(ridge=0.01)),
    "Whitening": lambda give: [Whitening.fit(give(VIEWS["a"]))(give(VIEWS["a"]))],
    "AnchorSet": mixed,
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_takes_every_kind_and_gives_back_what_it_was_given(name, tmp_path):
    wanted = [torch.as_tensor(one) for one in CLASSES[name](lambda x: torch.from_numpy(x))]
    for kind, (give, tensors) in KINDS.items():
        found = CLASSES[name](lambda x, give=give: give(x, tmp_path))
        assert {isinstance(one, torch.Tensor) for one in found} == {tensors}, kind
        for one, right in zip(found, wanted, strict=True):
            assert one.dtype in (torch.float32, torch.float64, np.float32, np.float64), kind
            torch.testing.assert_close(torch.as_tensor(one).double(), right, rtol=1e-3, atol=1e-3)


def test_half_and_float32_come_out_as_float32_all_else_as_float64():
    for kind, dtype in {"float16": "32", "bfloat16": "32", "float32": "32", "integer tensor": "64"}.items():
        x = KINDS[kind][0](VIEWS["a"], None)
        assert str(Translation().fit(x, x).transform(x).dtype) == f"torch.float{dtype}"
    for kind, dtype in {"numpy float16": "32", "numpy integers": "64", "lists": "64"}.items():
        x = KINDS[kind][0](VIEWS["a"], None)
        assert str(Translation().fit(x, x).transform(x).dtype) == f"float{dtype}"


@pytest.mark.parametrize("name", ["RelativeSpace", "Consensus", "Gpa", "RidgeCca", "Translation"])
def test_a_gradient_goes_through_transform_and_none_is_kept_of_fit(name):
    x = torch.from_numpy(VIEWS["a"]).requires_grad_()
    for made in CLASSES[name](lambda y: x[: len(y)] if y.shape[1] == 3 else torch.from_numpy(y))[:1]:
        [slope] = torch.autograd.grad(made.square().sum(), x)
        assert bool(slope.ne(0).any()) and bool(slope.isfinite().all())
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            made.sum().backward()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", CLASSES)
def test_what_is_on_a_gpu_comes_back_there_and_devices_may_be_mixed(name):
    wanted = CLASSES[name](lambda x: torch.from_numpy(x))
    for other in ("cuda", "cpu"):
        found = CLASSES[name](lambda x, o=other: torch.from_numpy(x).to("cuda" if x.shape[1] == 3 else o))
        assert found[0].device.type == "cuda"
        for one, right in zip(found, wanted, strict=True):
            torch.testing.assert_close(one.cpu(), right)


def spoiled(value):
    x = VIEWS["a"].copy()
    x[7, 1] = value
    return x


BAD = {
    "NaN": (spoiled(np.nan), "NaN or infinite values, the first in row 7"),
    "infinite": (torch.from_numpy(spoiled(np.inf)), "NaN or infinite values, the first in row 7"),
    "NA of pandas": (pd.DataFrame(spoiled(np.nan)).astype("Float64"), "NaN or infinite values"),
    "one row": (VIEWS["a"][0], r"has shape \(3,\), not \[N, d\]"),
    "a cube": (torch.ones(2, 3, 4), r"has shape \(2, 3, 4\), not \[N, d\]"),
    "a number": (3.0, r"has shape \(\), not \[N, d\]"),
    "no columns": (np.ones((5, 0)), r"0 feature\(s\)"),
    "ragged lists": ([[1.0, 2.0], [3.0]], "rows must be numbers, as many in each"),
    "ragged tensors": ([torch.ones(2), torch.ones(3)], "rows must be numbers, as many in each"),
    "objects": (np.array([[1, "a"], [2, 3]], object), "dtype object, and not all entries are numbers.*'a'"),
    "a column of text": (pd.DataFrame({"x": [1.0, 2.0], "y": ["u", "v"]}), "numbers.*'u'"),
    "texts": ([["a", "b"], ["c", "d"]], "give numbers .*<U1"),
    "dates": (np.ones((3, 2), "datetime64[s]"), "give numbers .*datetime64"),
    "complex": (1j * VIEWS["a"], "Complex data not supported"),
    "complex tensor": (1j * torch.ones(3, 3), "Complex data not supported"),
    "sparse": (csr_array(VIEWS["a"]), r"sparse matrix.*toarray\(\)"),
    "sparse tensor": (torch.ones(3, 3).to_sparse(), r"sparse tensor.*to_dense\(\)"),
    "masked": (np.ma.masked_equal(VIEWS["a"], VIEWS["a"][0, 0]), "masked values"),
    "a dictionary": ({"x": [1.0]}, "give numbers .* not dict"),
    "nothing": (None, "give numbers .* not NoneType|requires y"),
    "a path": ("embeddings.npy", "give numbers .* not str"),
}
RELATIVE = RelativeSpace("random", m=3, support=K).fit({"a": VIEWS["a"]})
TRANSLATION = Translation().fit(VIEWS["a"], VIEWS["b"])
DOORS = {
    "RelativeSpace.fit": lambda x: RelativeSpace("random", m=3).fit({"a": x}),
    "RelativeSpace.join": lambda x: RELATIVE.join("b", x),
    "RelativeSpace.transform": lambda x: RELATIVE.transform(x, "a"),
    "RelativeSpace.transform_blocks": lambda x: list(RELATIVE.transform_blocks(x, "a")),
    "RelativeSpace.transform_file": lambda x: RELATIVE.transform_file(x, "a", "/nonexistent/x.npy"),
    "Consensus.fit": lambda x: Consensus().fit({"a": x}),
    "Gpa.fit": lambda x: Gpa().fit({"a": x}),
    "RidgeCca.fit": lambda x: RidgeCca().fit({"a": x}),
    "Translation.fit": lambda x: Translation().fit(x, VIEWS["b"]),
    "Translation.fit y": lambda x: Translation().fit(VIEWS["b"][:1], x),
    "Translation.transform": TRANSLATION.transform,
    "Translation.inverse_transform": TRANSLATION.inverse_transform,
    "Translation.score": lambda x: TRANSLATION.score(x, VIEWS["b"]),
    "InverseRelative.fit": lambda x: InverseRelative().fit(x, VIEWS["b"]),
    "Whitening.fit": Whitening.fit,
    "Space": Space,
    "AnchorSet.mix": lambda x: RELATIVE.anchor_set.mix(x),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_cannot_be_embeddings_is_refused_at_every_door_by_what_it_is(door):
    for kind, (x, said) in BAD.items():
        if door == "Translation.fit y" and kind == "one row":
            continue  # a target of one feature
        with pytest.raises((ValueError, TypeError), match=said) as caught:
            DOORS[door](x)
        assert type(caught.value) in (ValueError, TypeError), kind


def test_what_is_wrong_is_called_by_the_encoders_name():
    for fit in (RelativeSpace("random", m=3).fit, Consensus().fit, Gpa().fit, RidgeCca().fit):
        with pytest.raises(ValueError, match=r"^'b': the embeddings hold NaN"):
            fit({"a": VIEWS["a"], "b": spoiled(np.nan)})
        with pytest.raises(ValueError, match=r"parallel.*\{'a': 40, 'b': 39\}"):
            fit({"a": VIEWS["a"], "b": VIEWS["b"][1:].tolist()})
        with pytest.raises(ValueError, match="dictionary of encoders, not list"):
            fit([VIEWS["a"], VIEWS["b"]])


@pytest.mark.parametrize("ids", [[0.5, 1], [[0, 1]], [-1, 0], [True, False], "ab"], ids=str)
def test_support_ids_are_row_numbers(ids):
    with pytest.raises(ValueError, match="must be row numbers"):
        AnchorSet(ids, np.eye(2))
