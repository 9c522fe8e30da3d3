"""The relative space: what it computes, who may join, and what it writes."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from relrep_exp.alignment import whitening as moments
from relrep_exp.alignment.anchors import AnchorSet, Space
from relrep_exp.alignment.param.learn import Param, ParamSettings
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.similarity import SIMILARITIES
from relrep_exp.store.mapped import FileRows

from . import literal

N, K, M = 60, 25, 8
A, B, C = (literal.embeddings(seed, N, d) for seed, d in enumerate((4, 6, 5)))
QUICK = Param(ParamSettings(epochs=1, batch=60))


def mixture(m: int = M) -> AnchorSet:
    g = torch.Generator().manual_seed(0)
    ids = torch.randperm(N, generator=g)[:K].sort().values
    return AnchorSet(ids, torch.softmax(torch.randn(m, K, generator=g, dtype=torch.float64), 1))


def bits(x: torch.Tensor) -> bytes:
    return x.numpy().tobytes()


@pytest.mark.parametrize("shrinkage, eps", [(0.15, 5e-8), (0.0, 0.0), (0.4, 0.1)])
@pytest.mark.parametrize("similarity", ["wip", "cosine"])
def test_transform_is_equations_1_2_and_4(similarity, shrinkage, eps):
    given = mixture()
    space = RelativeSpace(given, similarity, shrinkage=shrinkage, standardise="none", eps=eps).fit(
        {"a": A, "b": B}
    )
    for name, x in (("a", A), ("b", B)):
        support = x.numpy()[given.ids.numpy()]
        anchors = np.array(
            [sum(p * row for p, row in zip(r, support, strict=True)) for r in given.weights.numpy()]
        )
        new = x.numpy()[:9] + 0.5
        if similarity == "wip":
            expected = literal.wip(new, anchors, x.numpy(), shrinkage, eps)
        else:
            expected = literal.cosine(new, anchors)
        got = space.transform(torch.from_numpy(new), name)
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("similarity", sorted(SIMILARITIES))
def test_transform_is_the_similarity_to_the_mixed_anchors(similarity):
    space = RelativeSpace(mixture(), similarity, standardise="none").fit({"a": A})
    member = space.members["a"]
    expected = SIMILARITIES[similarity](A[:7], mixture().mix(A[space.support_ids]), member.whitening)
    torch.testing.assert_close(space.transform(A[:7], "a"), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("anchors", ["random", "fps", "kmeans", QUICK])
def test_joining_is_being_fitted_with_the_same_anchors(anchors):
    space = RelativeSpace(anchors, m=M, support=K).fit({"a": A, "b": B})
    space.join("c", C[space.support_ids], metric=C)
    beside = RelativeSpace(space.anchor_set).fit({"c": C})
    admitted = RelativeSpace(space.anchor_set).fit({"a": A}).admit("c", Space(C))
    for other in (beside, admitted):
        assert bits(other.transform(C, "c")) == bits(space.transform(C, "c"))


def test_without_a_metric_set_the_support_gives_the_statistics():
    space = RelativeSpace("random", m=M, support=K).fit({"a": A})
    support = C[space.support_ids]
    by_default = space.join("c", support).transform(C, "c")
    assert bits(space.join("c", support, metric=support).transform(C, "c")) == bits(by_default)
    assert not torch.allclose(space.join("c", support, metric=C).transform(C, "c"), by_default)


def test_an_encoder_that_joins_changes_neither_the_anchors_nor_the_others():
    space = RelativeSpace(QUICK, m=M, support=K).fit({"a": A, "b": B})
    before = bits(space.anchor_set.weights), bits(space.transform(A, "a")), bits(space.transform(B, "b"))
    space.join("c", 100 * C[space.support_ids], metric=100 * C)
    after = bits(space.anchor_set.weights), bits(space.transform(A, "a")), bits(space.transform(B, "b"))
    assert before == after
    alone = RelativeSpace(QUICK, m=M, support=K).fit({"a": A, "b": B})
    assert bits(alone.anchor_set.weights) == before[0]


def test_only_the_support_rows_and_the_metric_set_of_a_joining_encoder_are_read():
    space = RelativeSpace("random", m=M, support=K).fit({"a": A})
    ids = space.support_ids
    changed = C.clone()
    changed[[i for i in range(N) if i not in ids.tolist()]] = 1e6
    one = space.join("c", C[ids], metric=C).transform(C, "c")
    assert bits(space.join("c", changed[ids], metric=C).transform(C, "c")) == bits(one)


@pytest.mark.parametrize(
    "similarity, dtype",
    [*((name, torch.float32) for name in sorted(SIMILARITIES)), ("wip", torch.float64)],
)
def test_save_and_load_are_bit_exact(tmp_path, similarity, dtype):
    spaces = {"a": A.to(dtype), "b": B.to(dtype)}
    space = RelativeSpace("kmeans", similarity, m=M, support=K, shrinkage=0.2, seed=3).fit(spaces)
    c = C.to(dtype)
    space.join("c", c[space.support_ids], metric=c)
    space.save(tmp_path / "space.safetensors")
    loaded = RelativeSpace.load(tmp_path / "space.safetensors")
    for name, x in {**spaces, "c": c}.items():
        assert bits(loaded.transform(x, name)) == bits(space.transform(x, name))
        one, two = loaded.members[name].whitening, space.members[name].whitening
        assert (one.condition, one.rank, one.count) == (two.condition, two.rank, two.count)
    assert torch.equal(loaded.support_ids, space.support_ids)
    assert bits(loaded.anchor_set.weights) == bits(space.anchor_set.weights)
    settings = ("m", "support", "shrinkage", "eps", "seed", "similarity")
    assert [getattr(loaded, s) for s in settings] == [getattr(space, s) for s in settings]


def test_a_loaded_space_lets_others_join_as_the_saved_one_does(tmp_path):
    space = RelativeSpace("kmeans", m=M, support=K, shrinkage=0.3).fit({"a": A})
    space.save(tmp_path / "space.safetensors")
    loaded = RelativeSpace.load(str(tmp_path / "space.safetensors"))
    for one in (space, loaded):
        one.join("c", C[one.support_ids], metric=C)
    assert bits(loaded.transform(C, "c")) == bits(space.transform(C, "c"))


def test_one_space_under_two_names_can_be_saved(tmp_path):
    shared = Space(A)
    space = RelativeSpace("random", m=M, support=K).fit({"a": shared, "again": shared})
    space.save(tmp_path / "space.safetensors")
    loaded = RelativeSpace.load(tmp_path / "space.safetensors")
    assert bits(loaded.transform(A, "again")) == bits(space.transform(A, "a"))


@pytest.mark.parametrize("similarity", ["wip", "cosine", "l1"])
def test_files_of_embeddings_are_read_in_blocks_as_the_tensor_is(tmp_path, monkeypatch, similarity):
    monkeypatch.setattr(moments, "BLOCK_ELEMENTS", 6 * 2048)
    x = literal.embeddings(4, 5000, 6).float()
    np.save(tmp_path / "x.npy", x.numpy())
    rows = FileRows.open(tmp_path / "x.npy")
    space = RelativeSpace("random", similarity, m=M, support=K).fit({"a": A.float()})
    ids = space.support_ids
    expected = space.join("c", x[ids], metric=x).transform(x, "c")
    space.join("c", rows[ids], metric=rows)
    assert [len(block) for block in space.transform_blocks(rows, "c")] == [2048, 2048, 904]
    torch.testing.assert_close(torch.cat(list(space.transform_blocks(x, "c"))), expected)
    space.transform_file(rows, "c", out=tmp_path / "relative.npy")
    written = torch.from_numpy(np.load(tmp_path / "relative.npy"))
    assert written.dtype == torch.float32
    if similarity == "wip":
        assert bits(written) == bits(expected)
    torch.testing.assert_close(written, expected)


def test_files_of_float64_are_read_by_a_space_of_float32(tmp_path):
    x = literal.embeddings(4, 200, 6)
    np.save(tmp_path / "x.npy", x.numpy())
    space = RelativeSpace("random", m=M, support=K).fit({"a": A.float()})
    space.join("c", x[space.support_ids].float(), metric=x.float())
    [block] = space.transform_blocks(FileRows.open(tmp_path / "x.npy"), "c")
    torch.testing.assert_close(block, space.transform(x.float(), "c"))


def test_what_cannot_be_transformed_in_blocks_is_refused_and_no_rows_give_none(tmp_path):
    with pytest.raises(ValueError, match="'b' never joined"):
        fitted().transform_blocks(A, "b")
    with pytest.raises(ValueError, match="dimension 4"):
        fitted().transform_file(B, "a", tmp_path / "x.npy")
    assert list(tmp_path.iterdir()) == []
    fitted().transform_file(A[:0], "a", tmp_path / "none.npy")
    assert np.load(tmp_path / "none.npy").shape == (0, M)


def test_load_refuses_another_file(tmp_path):
    save_file({"ids": torch.arange(3)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("not a file of tensors " * 20)
    (tmp_path / "empty.safetensors").write_bytes(b"")
    for name in ("other", "text", "empty"):
        with pytest.raises(ValueError, match=f"{name}.safetensors is not a relative space"):
            RelativeSpace.load(tmp_path / f"{name}.safetensors")
    with pytest.raises(FileNotFoundError):
        RelativeSpace.load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("anchors, m", [("random", 20), ("kmeans", 20), (QUICK, 20), (QUICK, K + 10)])
def test_anchors_may_outnumber_dimensions_and_for_param_samples(anchors, m):
    space = RelativeSpace(anchors, m=m, support=K).fit({"a": A, "b": B})
    assert space.transform(A[:3], "a").shape == (3, m)
    assert np.linalg.matrix_rank(space.transform(A, "a").numpy(), tol=1e-6) == 4


def fitted() -> RelativeSpace:
    return RelativeSpace("random", m=M, support=K).fit({"a": A})


@pytest.mark.parametrize(
    "act, error, message",
    [
        (lambda: fitted().transform(A, "b"), ValueError, "'b' never joined; there are a"),
        (lambda: fitted().transform(B, "a"), ValueError, r"dimension 4, x is \(60, 6\)"),
        (lambda: fitted().transform(A[0], "a"), ValueError, r"'a' has shape \(4,\), not \[N, d\]"),
        (lambda: fitted().join("c", C), ValueError, f"{N} support embeddings given, P mixes {K}"),
        (
            lambda: fitted().join("c", C[:K], metric=B),
            ValueError,
            "support has dimension 5, its metric set 6",
        ),
        (lambda: fitted().join("c", C[:K], metric=C[:1]), ValueError, "N >= 2"),
        (lambda: RelativeSpace("random").fit({}), ValueError, "no encoder"),
        (lambda: RelativeSpace("random").fit({"a": A, "b": B[1:]}), ValueError, "parallel.*'a': 60, 'b': 59"),
        (lambda: RelativeSpace("random").transform(A, "a"), ValueError, "never joined, .*call fit"),
        (lambda: RelativeSpace("random").join("a", A), RuntimeError, "call fit"),
        (lambda: RelativeSpace("random").save("/nonexistent"), RuntimeError, "call fit"),
        (lambda: RelativeSpace("random").support_ids, RuntimeError, "call fit"),
        (lambda: RelativeSpace("random", m=4).fit([A]), ValueError, "give {name: .*not list"),
        (lambda: RelativeSpace("random", m=N + 1).fit({"a": A}), ValueError, "cannot be picked"),
    ],
)
def test_what_cannot_be_is_refused_in_clear_words(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_a_second_fit_forgets_the_encoders_of_the_first():
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    space = RelativeSpace("random", "wip", m=4).fit({"a": x})
    space.fit({"b": x + 1.0})
    assert list(space.members) == ["b"]
