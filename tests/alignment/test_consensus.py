"""The consensus against a literal transcription, and what joining, leaving and choosing must not change."""

import numpy as np
import pytest
import torch

from relrep_exp.alignment import whitening as moments
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.consensus import Consensus
from relrep_exp.alignment.shared import SharedSpaceAligner

from .literal import inverse_root, rotation, shrunk

K, M = 90, 5
DIMS = {"a": 8, "b": 6, "c": 7, "d": 9}


def views(rows=K, noise=0.3, seed=0):
    """Encoders that see the same five factors through maps and noise of their own, float64."""
    g = torch.Generator().manual_seed(seed)
    factors = torch.randn(rows, 5, generator=g, dtype=torch.float64)
    found = {}
    for name, d in DIMS.items():
        mix = torch.randn(5, d, generator=g, dtype=torch.float64)
        found[name] = factors @ mix + noise * torch.randn(rows, d, generator=g, dtype=torch.float64) + 2.0
    return found


X = views()
VOTERS = {name: X[name] for name in "abc"}


def near(one, two, within):
    return bool((one - two).abs().max() < within)


def fixed(features=0, standardise="none", **settings):
    return Consensus(M, 0.1, features=features, standardise=standardise, **settings)


def literal(voters, x, m, ridge, shrinkage=0.15, eps=5e-8):
    """Whiten, stack, SVD, ridge regression by the normal equations; x's consensus, [K, m]."""
    whitened = []
    for voter in voters:
        mean, sigma = shrunk(voter.numpy(), shrinkage, eps)
        whitened.append((voter.numpy() - mean) @ inverse_root(sigma))
    left, values, _ = np.linalg.svd(np.hstack(whitened), full_matrices=False)
    consensus = left[:, :m] * values[:m]
    mean, sigma = shrunk(x.numpy(), shrinkage, eps)
    w = (x.numpy() - mean) @ inverse_root(sigma)
    penalty = ridge * len(w) * np.trace(w.T @ w / len(w)) / w.shape[1]
    return w @ np.linalg.solve(w.T @ w + penalty * np.eye(w.shape[1]), w.T @ consensus), consensus


@pytest.mark.parametrize("rows", [K, 15])  # 15: fewer samples than the voters' 21 dimensions
def test_it_is_the_svd_of_stacked_whitened_embeddings_and_ridge_regression(rows):
    x = {name: z[:rows] for name, z in X.items()}
    space = fixed().fit({name: x[name] for name in "abc"}).join("d", x["d"])
    for name in x:
        expected, _ = literal([x["a"], x["b"], x["c"]], x[name], M, 0.1)
        found = space.transform(x[name], name).numpy()
        signs = np.sign((found * expected).sum(0))
        assert np.abs(found - signs * expected).max() < 1e-9
    values = np.linalg.svd(literal(list(VOTERS.values()), X["a"], 21, 0.1)[1], compute_uv=False)
    if rows == K:
        assert np.allclose(space.solution.agreement.values[:M], values[:M] ** 2 / K)


def test_it_does_not_see_an_affine_map_of_any_encoder():
    mixed = {}
    for seed, (name, x) in enumerate(X.items()):
        d = x.shape[1]
        stretch = rotation(seed, d) * torch.linspace(0.2, 4.0, d, dtype=torch.float64)
        mixed[name] = x @ stretch @ rotation(seed + 10, d) - 3.0
    exact = [Consensus(M, 1e-12, features=0, shrinkage=0.0, eps=0.0) for _ in range(2)]
    for space, x in zip(exact, (X, mixed), strict=True):
        space.fit({name: x[name] for name in "abc"}).join("d", x["d"])
    for name in X:
        one, two = exact[0].transform(X[name], name), exact[1].transform(mixed[name], name)
        signs = (one * two).sum(0).sign()
        assert near(one, two * signs, 1e-7)


@pytest.mark.parametrize(
    "make", [fixed, lambda: fixed(30), lambda: Consensus(features=0)], ids=["linear", "features", "chosen"]
)
def test_one_that_leaves_might_never_have_been_there(make):
    full = make().fit(VOTERS).join("d", X["d"]).leave("b")
    fresh = make().fit({"a": X["a"], "c": X["c"]}).join("d", X["d"])
    assert full.members == fresh.members == ("a", "c", "d")
    for chosen in ("m", "ridge"):
        assert getattr(full.solution.choice, chosen) == getattr(fresh.solution.choice, chosen)
    for name in full.members:
        torch.testing.assert_close(
            full.transform(X[name], name), fresh.transform(X[name], name), atol=1e-10, rtol=0
        )


@pytest.mark.parametrize("features", [0, 30])
def test_a_voter_that_joined_instead_is_mapped_alike(features):
    space = fixed(features).fit(VOTERS).join("again", X["a"])
    torch.testing.assert_close(
        space.transform(X["a"], "again"), space.transform(X["a"], "a"), atol=1e-10, rtol=0
    )


def test_joining_changes_nothing_for_the_others_and_can_be_undone():
    space = Consensus(features=20).fit(VOTERS)
    before, choice = space.transform(X["a"], "a"), space.solution.choice
    space.join("d", 50 * X["d"])
    assert torch.equal(space.transform(X["a"], "a"), before) and space.solution.choice == choice
    assert space.leave("d").members == ("a", "b", "c")
    assert torch.equal(space.transform(X["a"], "a"), before)


@pytest.mark.parametrize("block", [7, 64])
def test_blocks_of_rows_give_what_the_whole_gives(monkeypatch, block):
    whole = Consensus(features=20).fit(VOTERS).join("d", X["d"])
    monkeypatch.setattr(moments, "BLOCK_ROWS", block)
    parts = Consensus(features=20).fit(VOTERS).join("d", X["d"])
    assert parts.solution.choice.m == whole.solution.choice.m
    for name in X:
        torch.testing.assert_close(
            parts.transform(X[name], name), whole.transform(X[name], name), atol=1e-9, rtol=0
        )


def test_the_factors_are_found_and_their_number():
    x = views(rows=400, noise=0.1)
    choice = Consensus(features=0).fit({name: x[name] for name in "abc"}).solution.choice
    assert choice.m == 5 and choice.score > 0.9


def test_encoders_that_share_nothing_get_no_score():
    g = torch.Generator().manual_seed(3)
    apart = {name: torch.randn(200, 6, generator=g) for name in "abc"}
    choice = Consensus(features=0, shrinkage=0.15).fit(apart).solution.choice
    assert choice.m == 1 and choice.score < 0.1


def test_random_features_find_what_no_linear_map_can():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(600, 3, generator=g, dtype=torch.float64)
    bent = torch.tanh(3 * x @ rotation(0, 3)) + 0.5 * (x @ rotation(1, 3)) ** 3
    held = {}
    for features in (0, 300):
        space = (
            Consensus(3, 0.03, features=features)
            .fit({"x": x[:400], "y": x[:400] @ rotation(2, 3)})
            .join("bent", bent[:400])
        )
        held[features] = (space.transform(bent[400:], "bent") - space.transform(x[400:], "x")).square().mean()
    assert held[300] < 0.5 * held[0]


def test_the_choice_is_the_same_again_and_blind_to_the_encoder_that_joins_and_to_other_rows():
    changed = {name: Space(torch.cat([x, x])) for name, x in X.items()}
    seen = []
    for scale in (1.0, 1e3):
        aligner = SharedSpaceAligner("consensus", Consensus(features=10), 40, seed=0)
        aligner.fit({name: changed[name] for name in "abc"})
        outside = torch.ones(2 * K, dtype=torch.bool)
        outside[aligner._ids] = False
        for name in changed:
            changed[name].x[outside] = torch.full_like(changed[name].x[outside], scale)
        aligner.join("d", Space(scale * changed["d"].x))
        seen.append((aligner.diagnostics(), aligner.carry(X["a"], "a", "a")))
        assert aligner.points() == 40
    assert seen[0][0] == seen[1][0] and torch.equal(seen[0][1], seen[1][1])


def test_a_voter_stays_where_too_few_directions_would_be_left():
    space = Consensus(20, 0.1, features=0).fit(VOTERS)
    before = space.transform(X["a"], "a")
    with pytest.raises(ValueError, match="m = 20: these encoders have 13 directions"):
        space.leave("a")
    assert space.voters == ("a", "b", "c") and torch.equal(space.transform(X["a"], "a"), before)


def test_a_consensus_of_one_encoder_is_its_own_leading_directions():
    space = Consensus(features=0).fit({"a": X["a"]}).join("d", X["d"])
    assert space.solution.choice.score is None
    assert space.transform(X["d"], "d").shape == (K, space.solution.choice.m)


def test_saved_and_loaded_it_goes_on_as_before(tmp_path):
    space = Consensus(features=20).fit({"b": X["b"].float(), "a": X["a"].float()}).join("c", X["c"].float())
    space.save(tmp_path / "space.safetensors")
    loaded = Consensus.load(tmp_path / "space.safetensors")
    assert loaded.solution.choice == space.solution.choice and loaded.voters == ("b", "a")
    for one in (space, loaded):
        one.join("d", X["d"].float()).leave("b")
    for name in ("a", "c", "d"):
        assert torch.equal(loaded.transform(X[name].float(), name), space.transform(X[name].float(), name))


def spoiled(value):
    x = X["b"].clone()
    x[3, 2] = value
    return x


@pytest.mark.parametrize(
    "act, error, message",
    [
        (lambda: Consensus(0), ValueError, "m=0"),
        (lambda: Consensus("all"), ValueError, "m='all': use an integer from 1 on, or 'auto'"),
        (lambda: Consensus(ridge=-0.1), ValueError, "ridge=-0.1"),
        (lambda: Consensus(features=-1), ValueError, "features=-1"),
        (lambda: Consensus().fit({}), ValueError, "no encoder"),
        (lambda: Consensus().fit({"a": X["a"], "b": X["b"][1:]}), ValueError, "parallel.*'a': 90, 'b': 89"),
        (lambda: Consensus().fit({"a": X["a"][:3]}), ValueError, "four parallel samples"),
        (lambda: Consensus().fit({"a": X["a"], "b": spoiled(torch.nan)}), ValueError, "'b': .*NaN"),
        (lambda: fixed().fit(VOTERS).join("d", spoiled(torch.inf)), ValueError, "'d': .*NaN or infinite"),
        (
            lambda: Consensus().fit({"a": X["a"], "b": torch.full((K, 3), 0.1)}),
            ValueError,
            "'b': .*all embeddings are equal",
        ),
        (
            lambda: Consensus().fit({"a": torch.arange(60)}),
            ValueError,
            r"'a' has shape \(60,\), not \[N, d\]",
        ),
        (lambda: Consensus(22, features=0).fit(VOTERS), ValueError, "these encoders have 21 directions"),
        (lambda: fixed().fit(VOTERS).join("d", X["d"][1:]), ValueError, "K = 90 samples"),
        (lambda: fixed().fit(VOTERS).join("a", X["a"]), ValueError, "cannot join again"),
        (
            lambda: fixed().fit(VOTERS).transform(X["d"], "d"),
            ValueError,
            "'d' never joined; there are a, b, c",
        ),
        (lambda: fixed().fit(VOTERS).transform(X["b"], "a"), ValueError, "dimension 8"),
        (lambda: fixed().fit(VOTERS).leave("d"), ValueError, "never joined"),
        (lambda: fixed().fit({"a": X["a"]}).leave("a"), ValueError, "the last"),
        (lambda: fixed().join("a", X["a"]), RuntimeError, "call fit"),
        (lambda: fixed().save("/nonexistent"), RuntimeError, "call fit"),
    ],
)
def test_what_cannot_be_is_refused_in_clear_words(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_load_refuses_another_file(tmp_path):
    (tmp_path / "text.safetensors").write_text("not a file of tensors " * 20)
    with pytest.raises(ValueError, match=r"text.safetensors is not a consensus"):
        Consensus.load(tmp_path / "text.safetensors")
