"""The claim of the default task, on its real data and really trained encoders, for one seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from relrep_exp.app.plan import make_plan
from relrep_exp.app.run import run as make_record

METHODS = {
    "absolute": ["aligner=absolute"],
    "random-cosine": ["anchors=random", "sim=cosine"],
    "param-wip": ["anchors=param", "sim=wip"],
}
GOLDEN = {"absolute": 0.9695, "param-wip": 0.9555}  # mean F1, seed 0

pytestmark = pytest.mark.slow  # four encoders and P are trained in full

Scores = dict[str, dict[tuple[str, str], float]]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """Method -> (test encoder, classifier encoder) -> weighted F1."""
    outputs = tmp_path_factory.mktemp("digits")
    return {name: f1(outputs, words) for name, words in METHODS.items()}


def f1(outputs: Path, words: list[str]) -> dict[tuple[str, str], float]:
    (run,) = make_plan([*words, f"paths.outputs={outputs}", "logger=none", "seed=0"], sweep=False)
    record = make_record(run.request, "", outputs / "run").record
    return {(row.target, row.source): row.value for row in record.rows if row.metric == "f1_weighted"}


def across(pairs: dict[tuple[str, str], float]) -> list[float]:
    return [value for (target, source), value in pairs.items() if target != source]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_every_encoder_reads_itself_well(scores: Scores) -> None:
    assert len(scores["absolute"]) == 4
    assert min(scores["absolute"].values()) > 0.94


def test_random_cosine_fails_between_encoders(scores: Scores) -> None:
    assert min(across(scores["random-cosine"])) < 0.1
    assert mean(across(scores["random-cosine"])) < 0.75


def test_param_wip_beats_random_cosine_for_every_pair(scores: Scores) -> None:
    pairs = [pair for pair in scores["param-wip"] if pair[0] != pair[1]]
    assert len(pairs) == 12
    assert all(scores["param-wip"][pair] > scores["random-cosine"][pair] for pair in pairs)


def test_param_wip_stays_within_two_points_of_absolute(scores: Scores) -> None:
    ceiling = mean(list(scores["absolute"].values()))
    assert mean(across(scores["param-wip"])) > ceiling - 0.02


def test_golden_means(scores: Scores) -> None:
    found = {name: mean(across(pairs) or list(pairs.values())) for name, pairs in scores.items()}
    assert {name: found[name] for name in GOLDEN} == pytest.approx(GOLDEN, abs=0.012)
