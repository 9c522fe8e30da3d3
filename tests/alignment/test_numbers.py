"""Half precision is computed with in float32, and torch's globals change no number beyond rounding."""

import logging
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch

from relrep_exp import Consensus, InverseRelative, Param, ParamSettings, RelativeSpace, Space, Translation
from relrep_exp.alignment import metrics
from relrep_exp.alignment.inverse import inverse_relative
from relrep_exp.alignment.similarity import SIMILARITIES, get_similarity
from relrep_exp.alignment.translation import translation
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.training.numbers import as_shipped

from . import literal

A, B = (300.0 * literal.embeddings(seed, 60, d).float() for seed, d in ((0, 6), (1, 8)))
QUICK = Param(ParamSettings(epochs=3, batch=20))


def space(anchors, similarity="wip"):
    """Relative representations of an encoder that was fitted on, and of one that joined."""

    def read(a, b):
        fitted = RelativeSpace(anchors, similarity, m=5, support=30).fit({"a": a})
        fitted.join("b", b[fitted.support_ids], metric=b)
        return torch.cat([fitted.transform(a, "a"), fitted.transform(b, "b")])

    return read


def consensus(a, b):
    fitted = Consensus(m=3, ridge=0.1).fit({"a": a[:40]}).join("b", b[:40])
    return torch.cat([fitted.transform(a, "a"), fitted.transform(b, "b")])


def measures(a, b):
    b = b[:, :6]
    ranks = metrics.retrieve(a, b).ranks
    found = [metrics.neighbourhood_overlap(a, b), metrics.normalised_mse(a, b), metrics.matching_cosine(a, b)]
    found += [metrics.linear_cka(a, b), metrics.feature_std(a), metrics.effective_rank(a)]
    return torch.cat([ranks, torch.tensor(found, dtype=torch.float64, device="cpu")])


ENTRIES = {
    **{f"random-{name}": space("random", name) for name in SIMILARITIES},
    **{f"{name}-wip": space(name) for name in ("kmeans", "fps", "collinear")},
    **{f"param-{name}": space(QUICK.comparing(get_similarity(name))) for name in ("wip", "cosine", "inner")},
    "a space kept": lambda a, b: RelativeSpace("fps", m=5).fit({"a": Space(a)}).transform(a, "a"),
    **{
        kind: lambda a, b, kind=kind: translation(kind, a, b)(a)
        for kind in ("affine", "linear", "l_ortho", "ortho", "parseval")
    },
    "inverse": lambda a, b: inverse_relative(a, b)(a),
    "consensus": consensus,
    "whitening": lambda a, b: Whitening.fit(a)(a),
    "measures": measures,
}
ESTIMATORS = {"ortho": Translation("ortho"), "inverse": InverseRelative()}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ENTRIES)
def test_half_precision_is_what_its_numbers_are_in_float32(name, dtype):
    a, b = A.to(dtype), B.to(dtype)
    assert a.square().isinf().any() or dtype == torch.bfloat16
    got = ENTRIES[name](a, b)
    assert got.dtype in (torch.float32, torch.float64) and bool(got.isfinite().all())
    assert torch.equal(got, ENTRIES[name](a.float(), b.float()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_read_tensors_of_half_precision(name, dtype):
    a, b = A.to(dtype), B.to(dtype)
    got = ESTIMATORS[name].fit(a, b).transform(a)
    expected = ESTIMATORS[name].fit(a.double(), b.double()).transform(a.double())
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def precision(name):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


GLOBALS = {
    "default dtype": lambda: default_dtype(torch.float64),
    "default device": lambda: torch.device("meta"),
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "one thread": lambda: threads(1),
    "three threads": lambda: threads(3),
    "float32 products": lambda: precision("medium"),
}


@pytest.mark.parametrize("setting", GLOBALS)
@pytest.mark.parametrize("name", ENTRIES)
def test_torch_s_globals_change_nothing_beyond_rounding(name, setting):
    expected = ENTRIES[name](A, B)
    with GLOBALS[setting]():
        # what inference mode made can be read, too
        a, b = (A.clone(), B.clone()) if setting == "inference_mode" else (A, B)
        records = torch.is_grad_enabled()
        got = ENTRIES[name](a, b)
        assert torch.is_grad_enabled() is records
    assert got.dtype == expected.dtype and got.device == expected.device
    close = 1e-4 if "param" in name else 1e-5
    torch.testing.assert_close(got, expected, rtol=close, atol=close * float(expected.abs().max()))


def test_globals_are_as_they_were_afterwards_also_of_an_error():
    with default_dtype(torch.float64), precision("high"), torch.autocast("cpu"), torch.inference_mode():
        for raises in (False, True):
            with pytest.raises(KeyError) if raises else nullcontext(), as_shipped():
                assert torch.get_default_dtype() == torch.float32
                assert not torch.is_autocast_enabled("cpu") and not torch.is_inference_mode_enabled()
                assert not torch.is_grad_enabled()  # as in inference mode
                if raises:
                    raise KeyError
            assert torch.get_default_dtype() == torch.float64
            assert torch.get_float32_matmul_precision() == "high"
            assert torch.is_autocast_enabled("cpu") and torch.is_inference_mode_enabled()


@pytest.mark.parametrize(("scale", "kept"), [(1e-4, 0.8), (1e-6, 0.01)])
def test_an_eps_that_is_large_beside_the_variance_is_told_of_and_auto_is_of_any_scale(scale, kept, caplog):
    x = literal.embeddings(0, 80, 6)
    x /= x.var(0).mean().sqrt()

    def read(x, eps):
        space = RelativeSpace("random", m=5, eps=eps, standardise="none")
        return space.fit({f"small {scale}": x}).transform(x, f"small {scale}")

    expected = read(x, 0.0)
    with caplog.at_level(logging.WARNING, "relrep_exp"):
        torch.testing.assert_close(read(scale * x, "auto"), read(x, "auto"), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(read(x, "auto"), expected, rtol=1e-6, atol=1e-6)
        assert not caplog.records
        smaller = read(scale * x, 5e-8).norm() / expected.norm()
    assert smaller < kept
    [told] = {record.getMessage() for record in caplog.records}
    assert f"small {scale}: aligner.eps=5e-08" in told and "use aligner.eps=auto" in told
