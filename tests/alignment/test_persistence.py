"""Whatever is fitted can be pickled, copied, kept by joblib and sent to a process that is started anew."""

import copy
import multiprocessing
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError as TheirNotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import relrep_exp
from relrep_exp import (
    Consensus,
    FileRows,
    Gpa,
    InverseRelative,
    Param,
    ParamSettings,
    RelativeSpace,
    RidgeCca,
    Translation,
)

LATENT = np.random.default_rng(0).normal(size=(60, 3))
X = {
    name: (LATENT @ np.random.default_rng(seed).normal(size=(3, d)) + seed).astype("float32")
    for seed, (name, d) in enumerate((("a", 4), ("b", 5), ("c", 6)), 1)
}


def fitted(space):
    return space.fit({name: X[name] for name in "ab"}).join("c", X["c"])


def spaces():
    """One of each class and of each way to compare; a support as large as the rows, so that c can join."""
    quick = Param(ParamSettings(epochs=2, batch=30))
    made = [
        fitted(RelativeSpace(anchors, similarity, m=4, standardise=how))
        for anchors, similarity, how in (
            ("random", "wip", "mean_variance"),
            ("kmeans", "cosine", "none"),
            (quick, "euclidean", "mean"),
        )
    ]
    made += [fitted(Consensus(2, 0.1, features=5)), fitted(Gpa(correction="directions")), fitted(RidgeCca(2))]
    return [
        *made,
        *(one.fit(X["a"], X["b"]) for one in (Translation("affine", scaling="l2"), InverseRelative())),
    ]


def read(made):
    return made.transform(X["a"]) if hasattr(made, "map_") else made.transform(X["c"], "c")


def through_a_file(made, path):
    joblib.dump(made, path)
    return joblib.load(path)


def test_copies_of_every_kind_read_alike_and_can_be_fitted_on(tmp_path):
    for number, made in enumerate(spaces()):
        copies = [
            pickle.loads(pickle.dumps(made)),
            copy.deepcopy(made),
            through_a_file(made, tmp_path / f"{number}"),
        ]
        for one in copies:
            assert np.array_equal(read(one), read(made)), made
            if not hasattr(one, "map_"):
                assert np.array_equal(one.join("d", X["c"]).transform(X["c"], "d"), read(made))
                with pytest.raises(ValueError, match="never joined"):
                    made.transform(X["c"], "d")


@pytest.mark.slow
def test_a_process_that_is_started_anew_reads_alike(tmp_path):
    np.save(tmp_path / "x.npy", X["c"])
    given = [FileRows.open(tmp_path / "x.npy"), *spaces()]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        rows, *found = pool.map(work, given)
    assert np.array_equal(rows, X["c"])
    for one, made in zip(found, given[1:], strict=True):
        np.testing.assert_allclose(one, read(made), rtol=1e-5, atol=1e-5)


def work(made):
    return np.asarray(made) if isinstance(made, FileRows) else read(made)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Translation("affine", scaling="l2", ridge="auto"),
        lambda: Translation("ortho", steps=np.int64(3)),
        lambda: Translation("affine", solver="gradient", steps=3),
        lambda: InverseRelative(ridge=np.float64(0.1), delta=0.01, subspaces=2),
    ],
)
def test_a_translation_that_is_loaded_is_the_one_that_was_saved(make, tmp_path):
    made = make().fit(X["a"], X["b"])
    made.save(tmp_path / "x.safetensors")
    loaded = type(made).load(tmp_path / "x.safetensors")
    assert np.array_equal(loaded.transform(X["a"]), made.transform(X["a"]))
    assert loaded.get_params() == made.get_params() and loaded.diagnostics() == made.diagnostics()
    assert loaded.n_features_in_ == 4 and loaded.score(X["a"], X["b"]) == made.score(X["a"], X["b"])
    if isinstance(made, Translation):
        assert np.array_equal(loaded.inverse_transform(X["b"]), made.inverse_transform(X["b"]))
    other = InverseRelative if isinstance(made, Translation) else Translation
    with pytest.raises(ValueError, match="is not"):
        other.load(tmp_path / "x.safetensors")


def test_names_of_features_are_kept(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X["a"], columns=list("wxyz"))
    Translation().fit(frame, X["b"]).save(tmp_path / "x")
    loaded = Translation.load(tmp_path / "x")
    assert list(loaded.feature_names_in_) == list("wxyz")
    with pytest.raises(ValueError, match="feature names"):
        loaded.transform(frame.rename(columns={"w": "v"}))


def test_score_is_r2_of_all_features_together():
    made, target = Translation("linear").fit(X["a"], X["b"]), X["b"] + np.float32(0.5) * X["b"][::-1]
    apart = target - made.transform(X["a"])
    wanted = 1 - (apart**2).sum() / ((target - target.mean(0)) ** 2).sum()
    assert made.score(X["a"], target) == pytest.approx(float(wanted), rel=1e-4)
    assert made.score(torch.from_numpy(X["a"]), X["b"].tolist()) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"y has shape \(59, 5\), X is carried to \(60, 5\)"):
        made.score(X["a"], X["b"][1:])


@pytest.mark.parametrize("give", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_a_grid_search_finds_the_ridge_and_the_kind_that_generalise(give):
    """Few noisy anchors in many dimensions: without a ridge the map fits the noise."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(45, 30))
    y = x @ rng.normal(size=(30, 20)) + 8 * rng.normal(size=(45, 20))
    grid = {
        "kind": ["linear", "affine"],
        "ridge": [0.0, 1.0, np.float64(3.0)],
        "scaling": ["standard", "center"],
    }
    search = GridSearchCV(Translation("linear"), grid, cv=3, error_score="raise").fit(give(x), give(y))
    assert search.best_params_["ridge"] > 0
    fixed = cross_val_score(Translation("linear"), give(x), give(y), cv=3)
    assert search.best_score_ > fixed.mean() + 0.1
    assert type(search.transform(give(x))) is type(give(x))
    piped = make_pipeline(StandardScaler(), Translation("linear"))
    tuned = GridSearchCV(piped, {"translation__ridge": [0.0, 1.0]}, cv=3, n_jobs=1).fit(x, y)
    assert tuned.best_params_ == {"translation__ridge": 1.0}


def test_a_grid_search_over_rows_of_files(tmp_path):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", X[name])
    x, y = (FileRows.open(tmp_path / f"{name}.npy") for name in "ab")
    search = GridSearchCV(Translation("linear"), {"ridge": [0.0, 1.0]}, cv=3, error_score="raise").fit(x, y)
    assert search.best_params_ == {"ridge": 0.0} and search.best_score_ == pytest.approx(1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: RelativeSpace().transform(X["a"], "a"),
        lambda: RelativeSpace().support_ids,
        lambda: RelativeSpace("random").join("a", X["a"]),
        lambda: RelativeSpace().save("/nonexistent"),
        lambda: Consensus().transform(X["a"], "a"),
        lambda: Consensus().join("a", X["a"]),
        lambda: Consensus().leave("a"),
        lambda: Consensus().diagnostics(),
        lambda: Gpa().transform(X["a"], "a"),
        lambda: Gpa().join("a", X["a"]),
        lambda: RidgeCca().transform(X["a"], "a"),
        lambda: RidgeCca().join("a", X["a"]),
        lambda: Translation().transform(X["a"]),
        lambda: Translation().inverse_transform(X["a"]),
        lambda: Translation().score(X["a"], X["b"]),
        lambda: Translation().save("/nonexistent"),
        lambda: InverseRelative().transform(X["a"]),
        lambda: InverseRelative().diagnostics(),
    ],
)
def test_before_fit_there_is_one_error_whatever_is_caught(ask):
    for caught in (TheirNotFittedError, relrep_exp.NotFittedError, RuntimeError, ValueError, AttributeError):
        with pytest.raises(caught, match="call fit"):
            ask()
