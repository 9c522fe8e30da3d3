"""Procrustes means and canonical variates against literal transcriptions, and by their properties."""

import numpy as np
import pytest
import scipy.linalg
import torch

from relrep_exp import Gpa, RidgeCca
from relrep_exp.alignment import gpa
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.gpa import Correction, fit_correction
from relrep_exp.alignment.parallel import AnchorsError
from relrep_exp.alignment.shared import SharedSpaceAligner

from .literal import embeddings, inverse_root, rotation

K = 60
DIMS = {"a": 8, "b": 6, "c": 7, "d": 9}


def views():
    """Encoders that see the same four factors through maps and noise of their own, float64."""
    factors = embeddings(0, K, 4)
    return {
        name: factors @ embeddings(seed, 4, d) + 0.3 * embeddings(seed + 9, K, d) + 2.0
        for seed, (name, d) in enumerate(DIMS.items(), 1)
    }


X = views()
VOTERS = {name: X[name] for name in "abc"}


def standardised(x):
    """Scaled by its own statistics, rows of mean squared length 1."""
    z = (x - x.mean(0)) / x.std(0)
    return z / np.sqrt((z**2).sum(1).mean())


def literal_gpa(spaces, rounds):
    """Turn all padded spaces to their mean by scipy, again and again (Gower); the widest comes first."""
    d = max(z.shape[1] for z in spaces)
    padded = [np.pad(standardised(z), ((0, 0), (0, d - z.shape[1]))) for z in spaces]
    reference = next(z for z, raw in zip(padded, spaces, strict=True) if raw.shape[1] == d)
    for _ in range(rounds):
        reference = np.mean([z @ scipy.linalg.orthogonal_procrustes(z, reference)[0] for z in padded], axis=0)
    return reference


def test_gpa_is_gowers_iteration_and_a_joining_encoder_is_turned_to_its_mean(monkeypatch):
    assert Gpa().fit(VOTERS).diagnostics()["rounds"] < gpa.ROUNDS
    monkeypatch.setattr(gpa, "TOLERANCE", 0.0)
    space = Gpa().fit(VOTERS).join("d", X["d"][:, :8])
    reference = literal_gpa([x.numpy() for x in VOTERS.values()], gpa.ROUNDS)
    joined = standardised(X["d"][:, :8].numpy())
    for name, z in {**{n: standardised(x.numpy()) for n, x in VOTERS.items()}, "d": joined}.items():
        padded = np.pad(z, ((0, 0), (0, 8 - z.shape[1])))
        wanted = padded @ scipy.linalg.orthogonal_procrustes(padded, reference)[0]
        given = X[name] if name != "d" else X["d"][:, :8]
        assert np.allclose(space.transform(given, name).numpy(), wanted, atol=1e-9), name


@pytest.mark.parametrize("correction", ["none", "directions"])
def test_encoders_that_are_rotations_of_each_other_become_one(correction, monkeypatch):
    monkeypatch.setattr(gpa, "STEPS", 40)
    x = embeddings(3, 80, 6)
    turned = {name: 3 * x @ rotation(seed, 6) - 5 for seed, name in enumerate("abcd")}
    space = (
        Gpa("center", correction).fit({name: turned[name][:K] for name in "abc"}).join("d", turned["d"][:K])
    )
    found = [space.transform(turned[name], name) for name in "abcd"]
    assert all(torch.allclose(one, found[0], atol=1e-6) for one in found)


def test_a_wider_encoder_may_join_and_few_samples_leave_directions_out():
    space = Gpa().fit(VOTERS).join("d", X["d"])
    assert space.transform(X["d"], "d").shape == (K, 8)
    few = Gpa().fit({name: x[:4] for name, x in VOTERS.items()})
    moved = few.transform(X["a"], "a")
    assert torch.linalg.matrix_rank(moved - moved.mean(0)) == 3


def test_the_correction_brings_encoders_closer_and_starts_with_nothing(monkeypatch):
    monkeypatch.setattr(gpa, "STEPS", 100)
    turned = torch.stack(
        [embeddings(1, 200, 6) + 0.8 * embeddings(seed, 200, 6) for seed in (2, 3, 4)]
    ).float()
    with torch.random.fork_rng():
        assert torch.allclose(Correction(6)(turned), turned / turned.norm(dim=2, keepdim=True), atol=1e-6)
    state = torch.random.get_rng_state()
    with torch.inference_mode(False), torch.no_grad():
        corrected, steps = fit_correction(turned, 0)
    assert torch.equal(state, torch.random.get_rng_state()) and steps == 100
    unit, made = torch.nn.functional.normalize(turned, dim=2), corrected(turned)
    assert torch.allclose(made.norm(dim=2), torch.ones(3, 200))
    assert float((made[0] * made[1]).sum(1).mean()) > float((unit[0] * unit[1]).sum(1).mean()) + 0.02
    again, _ = fit_correction(turned, 0)
    assert torch.equal(made, again(turned))


def literal_cca(voters, x, m, ridge):
    """Whiten by the covariance and the ridge, stack, SVD, regress with the same ridge, standardise."""

    def solved(z):
        centred = z - z.mean(0)
        sigma = centred.T @ centred / (len(z) - 1)
        sigma += ridge * np.trace(sigma) / z.shape[1] * np.eye(z.shape[1])
        return centred, sigma

    whitened = [centred @ inverse_root(sigma) for centred, sigma in map(solved, voters)]
    left, values, _ = np.linalg.svd(np.hstack(whitened), full_matrices=False)
    consensus = left[:, :m] * values[:m]
    centred, sigma = solved(x)
    variates = centred @ np.linalg.solve(sigma, centred.T @ consensus)
    return variates / variates.std(0)


@pytest.mark.parametrize("ridge", [0.03, 1.0])
def test_ridge_cca_is_maxvar_of_ridged_covariances(ridge):
    space = RidgeCca(4, ridge).fit(VOTERS).join("d", X["d"])
    for name, x in X.items():
        wanted = literal_cca([v.numpy() for v in VOTERS.values()], x.numpy(), 4, ridge)
        found = space.transform(x, name).numpy()
        assert np.allclose(found * np.sign((found * wanted).sum(0)), wanted, atol=1e-8), name


def test_two_encoders_without_much_of_a_ridge_have_the_classical_canonical_correlations():
    a, b = X["a"], X["b"]
    space = RidgeCca(3, 1e-9).fit({"a": a, "b": b})
    found = (space.transform(a, "a") * space.transform(b, "b")).mean(0).numpy()
    q_a, q_b = (np.linalg.qr((z - z.mean(0)).numpy())[0] for z in (a, b))
    assert np.allclose(found, np.linalg.svd(q_a.T @ q_b, compute_uv=False)[:3], atol=1e-5)


def test_it_chooses_as_many_directions_as_are_shared_and_alone_its_own():
    g = torch.Generator().manual_seed(0)
    factors = torch.randn(300, 4, generator=g)
    seen = {
        n: factors @ torch.randn(4, d, generator=g) + 0.2 * torch.randn(300, d, generator=g)
        for n, d in DIMS.items()
    }
    found = RidgeCca().fit(seen).diagnostics()
    assert found["m"] == 4 and found["score"] > 0.9
    space = RidgeCca().fit({"a": X["a"]}).join("d", X["d"])
    assert space.transform(X["d"], "d").shape == (K, space.diagnostics()["m"])


@pytest.mark.parametrize(
    "make", [Gpa, lambda: Gpa(correction="directions"), RidgeCca], ids=["gpa", "gcpa", "cca"]
)
def test_nothing_but_the_support_counts_and_who_joins_changes_nothing(make, monkeypatch):
    monkeypatch.setattr(gpa, "STEPS", 40)
    changed = {name: Space(torch.cat([x, x])) for name, x in X.items()}
    seen = []
    for scale in (1.0, 1e3):
        aligner = SharedSpaceAligner("method", make(), 40, seed=0).fit(
            {name: changed[name] for name in "abc"}
        )
        outside = torch.ones(2 * K, dtype=torch.bool)
        outside[aligner._ids] = False
        for space in changed.values():
            space.x[outside] = scale
        aligner.join("d", Space(scale * changed["d"].x))
        seen.append((aligner.diagnostics(), aligner.carry(X["a"], "a", "a")))
        assert aligner.points() == 40
    assert seen[0][0] == seen[1][0] and torch.equal(seen[0][1], seen[1][1])


def test_misuse_is_told():
    with pytest.raises(AnchorsError, match="59 rows in one space, 60 in the other"):
        Gpa().fit(VOTERS).join("d", X["d"][:59])
    with pytest.raises(ValueError, match="encoder 'd' never joined"):
        Gpa().fit(VOTERS).transform(X["d"], "d")
    with pytest.raises(ValueError, match="four parallel samples or more, not 3"):
        RidgeCca().fit({name: x[:3] for name, x in VOTERS.items()})
    with pytest.raises(ValueError, match="m = 22: these encoders have 21 directions"):
        RidgeCca(22, 0.1).fit(VOTERS)
    for wrong in ({"m": 0}, {"ridge": 0.0}, {"ridge": "best"}):
        with pytest.raises(ValueError, match=r"use an? (integer from 1 on|number above 0), or 'auto'"):
            RidgeCca(**wrong)
