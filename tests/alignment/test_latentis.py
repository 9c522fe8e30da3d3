"""The same float64 numbers through latentis 0.0.8, where it is installed."""

import pytest
import torch

from relrep_exp.alignment.anchors import AnchorSet
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.translation import Descent, translation
from tests.alignment.test_translation import pair, round_pair

pytest.importorskip("latentis", reason='latentis is not installed: pip install "relrep_exp[bench]"')

from latentis.transform.base import MeanLPNorm, StandardScaling
from latentis.transform.dim_matcher import ZeroPadding
from latentis.transform.projection import cosine_proj
from latentis.transform.translate import MatrixAligner, Procrustes, Translator
from latentis.transform.translate.aligner import SGDAffineAligner
from latentis.transform.translate.functional import (
    lstsq_align_state,
    lstsq_ortho_align_state,
    svd_align_state,
)

STATES = {"linear": lstsq_align_state, "l_ortho": lstsq_ortho_align_state, "ortho": svd_align_state}
SCALERS = {"standard": StandardScaling, "l2": MeanLPNorm, "none": lambda: None}


def translator(kind, scaling, pad=True):
    aligner = MatrixAligner(name=kind, align_fn_state=STATES[kind])
    return Translator(aligner, kind, SCALERS[scaling](), SCALERS[scaling](), ZeroPadding() if pad else None)


@pytest.mark.parametrize("scaling", list(SCALERS))
@pytest.mark.parametrize(("kind", "pad"), [("linear", False), ("l_ortho", False), ("ortho", True)])
@pytest.mark.parametrize("shape", [(40, 6, 6), (40, 5, 8), (40, 8, 5)])
def test_translators_agree(kind, pad, scaling, shape):
    x, y, new = pair(*shape)
    wanted, _ = translator(kind, scaling, pad).fit(x, y).transform(new)
    assert torch.allclose(translation(kind, x, y, scaling)(new), wanted)


@pytest.mark.parametrize("shape", [(40, 6, 6), (40, 5, 8), (40, 8, 5)])
def test_its_procrustes_agrees(shape):
    x, y, new = pair(*shape)
    wanted, _ = Procrustes().fit(x, y).transform(new)
    assert torch.allclose(translation("ortho", x, y)(new), wanted)


@pytest.mark.parametrize("shape", [(5, 8, 9), (5, 9, 8), (5, 8, 8)])
def test_fewer_anchors_than_dimensions_agree_on_what_the_anchors_say(shape):
    x, y, _ = pair(*shape)
    wanted, _ = Procrustes().fit(x, y).transform(x)
    assert torch.allclose(translation("ortho", x, y)(x), wanted)


@pytest.mark.parametrize("shape", [(5, 8, 9), (5, 9, 8)])
def test_fewer_anchors_than_dimensions_least_norm_is_the_same(shape):
    x, y, new = pair(*shape)
    wanted, _ = translator("linear", "none", pad=False).fit(x, y).transform(new)
    assert torch.allclose(translation("linear", x, y, "none")(new), wanted)


def test_affine_by_descent_ends_in_one_place():
    x, y, new = round_pair()
    theirs = Translator(SGDAffineAligner(1000, 0.02, 0), "affine", StandardScaling(), StandardScaling())
    wanted, _ = theirs.fit(x, y).transform(new)
    assert torch.allclose(
        translation("affine", x, y, descent=Descent(1000, 0.02))(new), wanted.detach(), rtol=1e-4
    )


def test_cosines_agree():
    x, _, new = pair(12, 6, 6)
    space = RelativeSpace(AnchorSet(torch.arange(12), torch.eye(12)), "cosine").fit({"a": x})
    assert torch.allclose(space.transform(new, "a"), cosine_proj(new, anchors=x))
