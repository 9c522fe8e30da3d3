"""Every aligner on embeddings of the user's own, and every way to choose its anchors."""

from itertools import cycle

import pytest

from relrep_exp.store.files import CONF

PICKED = ("random", "fps", "kmeans")
PAIRWISE = ("affine", "linear", "l_ortho", "ortho", "parseval", "inverse_relative")
METHODS = [
    ["aligner=absolute"],
    ["aligner=consensus"],
    ["aligner=gpa"],
    ["aligner=ridge_cca"],
    *(["aligner=relative", f"anchors={way}"] for way in PICKED),
    *([f"aligner={name}", f"anchors={way}"] for name, way in zip(PAIRWISE, cycle(PICKED), strict=False)),
    ["aligner=relative", "anchors=param", "anchors.epochs=3"],
    ["aligner=affine", "aligner.solver=gradient", "aligner.lr=0.05", "anchors=random"],
    ["aligner=inverse_relative", "aligner.ridge=auto", "anchors=random"],
]


def test_no_aligner_is_left_out():
    names = {path.stem for path in (CONF / "aligner").glob("*.yaml")}
    assert {words[0].removeprefix("aligner=") for words in METHODS} == names


@pytest.mark.parametrize("method", METHODS, ids=" ".join)
def test_every_aligner_reads_embeddings_of_ones_own(any_run, method):
    picked = any(word.startswith("anchors=") and word != "anchors=param" for word in method)
    outcome = any_run(*method, *(["anchors.m=all"] if picked else []))
    scores = {(r.source, r.target): r.value for r in outcome.record.rows if r.metric == "f1_weighted"}
    own = {pair: value for pair, value in scores.items() if pair[0] == pair[1]}
    between = {pair: value for pair, value in scores.items() if pair[0] != pair[1]}
    assert len(own) == 3 and min(own.values()) > 0.8
    assert len(between) == (0 if "aligner=absolute" in method else 6)
    assert all(value > 0.5 for value in between.values())
