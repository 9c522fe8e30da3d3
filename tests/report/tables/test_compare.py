"""The paper beside ours: the test itself, when there is none, and what a reader sees."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy.special import betainc

from relrep_exp.report.render.formats import to_latex, to_markdown
from relrep_exp.report.tables.compare import ALPHA, beside_paper, verdict
from relrep_exp.report.tables.pair_tables import pairs_table
from relrep_exp.report.tables.paper_numbers import PaperValue, paper_table
from relrep_exp.report.tables.points import Point
from relrep_exp.report.tables.table import Score, cell_of
from report.reading import csv_of, note_of, terminal
from report.synthetic_paper import experiment_of, runs_of, same, seeds_of, settings, table_of


def welch(ours, paper):
    """p of Welch's t by its textbook form; the t distribution's tail through the incomplete beta function."""
    a, b = ours.std**2 / ours.n, paper.std**2 / paper.n
    t = (ours.mean - paper.mean) / math.sqrt(a + b)
    df = (a + b) ** 2 / (a**2 / (ours.n - 1) + b**2 / (paper.n - 1))
    return float(betainc(df / 2, 0.5, df / (df + t**2)))


def cell(values):
    return cell_of([Score(str(seed), seed, {"": value}) for seed, value in enumerate(values)])


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize(("shift", "std"), [(0.0, 0.01), (0.004, 0.002), (-0.02, 0.03), (0.3, 0.0)])
def test_p_is_welchs(n, shift, std):
    ours = cell(seeds_of(0.7 + shift, std)[:n])
    paper = PaperValue(0.7, 0.005)
    found = verdict(ours, paper)
    assert found.p == pytest.approx(welch(ours, paper), rel=1e-9)
    assert found.difference == ours.mean - 0.7
    told = {True: "within noise", False: "higher" if ours.mean > 0.7 else "lower"}
    assert found.verdict == told[found.p >= ALPHA] and not found.reason


@pytest.mark.parametrize(
    ("values", "std", "reason"),
    [
        ([0.5], 0.01, "one seed of ours"),
        ([0.5, 0.6], math.nan, "the paper states no std"),
        ([0.5, 0.5], 0.0, "both stds are zero"),
        ([0.5, math.nan], 0.01, "ours is no finite number"),
    ],
)
def test_where_nothing_can_be_tested_the_reason_is_told(values, std, reason):
    found = verdict(cell(values), PaperValue(0.4, std))
    assert (found.reason, found.verdict, found.p) == (reason, "", None)
    assert found.difference == pytest.approx(sum(values) / len(values) - 0.4, nan_ok=True)


def as_the_paper_within_the_noise_and_off(key, paper):
    """By column: the paper's own numbers; a little more; less, and from Gemma more; R@5 again the paper's."""
    off = 0.03 if key[1] == "gemma3_1b" else -0.03
    shift = {("random-cosine", "recall@5"): 0.001, ("param-wip", "recall@1"): off}.get(key[2:], 0.0)
    return paper.mean + shift, paper.std


GOLDEN = """\
Retrieval between small language models: slm_retrieval: R@1, R@5
           zero-shot             random-            random-          param-wip           param-wip
source     encoder            cosine R@1         cosine R@5                R@1                 R@5
───────────────────────────────────────────────────────────────────────────────────────────────────
tinyllama  gpt2                0.50±0.18          2.38±0.49        90.44±0.34*         99.94±0.14*
                         0.50±0.18 +0.00    2.28±0.49 +0.10   93.44±0.34 -3.00    99.94±0.14 +0.00
           gpt2_medium         0.39±0.14          1.93±0.18        91.28±0.53*         99.94±0.14*
                         0.39±0.14 +0.00    1.83±0.18 +0.10   94.28±0.53 -3.00    99.94±0.14 +0.00
           gemma3_1b           9.94±1.02         28.43±3.15        90.61±0.39*         98.67±0.63*
                         9.94±1.02 +0.00   28.33±3.15 +0.10   87.61±0.39 +3.00    98.67±0.63 +0.00
gpt2       tinyllama           1.72±0.25          6.16±0.44        92.67±0.42*        100.00±0.00*
                         1.72±0.25 +0.00    6.06±0.44 +0.10   95.67±0.42 -3.00   100.00±0.00 +0.00
           gpt2_medium         0.44±0.17          2.27±0.66        91.67±0.37*        100.00±0.00*
                         0.44±0.17 +0.00    2.17±0.66 +0.10   94.67±0.37 -3.00   100.00±0.00 +0.00
           gemma3_1b           1.83±0.28          5.21±0.86        90.61±0.57*         99.33±0.47*
                         1.83±0.28 +0.00    5.11±0.86 +0.10   87.61±0.57 +3.00    99.33±0.47 +0.00

mean       off-                2.47±0.34          7.73±0.96        91.21±0.44*         99.65±0.23*
           diagonal           2.47 +0.00         7.63 +0.10        92.21 -1.00         99.65 +0.00
mean ± std over 6 seeds, R@1 in %, R@5 in %; *: best per row besides absolute, and what a paired
test over seeds does not tell from it (two-sided, alpha = 0.05, Holm's correction over 12
comparisons and 2 of means)
IQM over pairs and seeds [95 % bootstrap interval], off-diagonal: random-cosine R@1 1.13 [0.97,
1.26], random-cosine R@5 4.00 [3.58, 4.39], param-wip R@1 91.12 [90.75, 91.37], param-wip R@5 99.90
[99.78, 99.94].
Under ours: the paper's mean ± std (6 seeds), then ours less the paper's.
Of all pairs only those with the sources tinyllama, gpt2.
The sentences are this project's own, as the paper's are not published.
No test: the sentences are not the paper's (28).
"""


def test_on_sentences_of_our_own_the_difference_stands_alone():
    """The terminal shows it; every other format says the same."""
    table = table_of("table3", runs_of("table3", as_the_paper_within_the_noise_and_off))
    assert terminal(table) == GOLDEN
    ours = "6.16 ± 0.44<br>paper 6.06 ± 0.44 (+0.10) | **92.67 ± 0.42**<br>paper 95.67 ± 0.42 (-3.00)"
    assert f"| {ours} |" in to_markdown(table)
    assert r" & {\footnotesize paper} & {\footnotesize 1.72 $\pm$ 0.25 (+0.00)} &" in to_latex(table)
    assert {(row["verdict"], row["p"]) for row in csv_of(table)} == {("", "")}
    assert {row["reason"] for row in csv_of(table)} == {"the sentences are not the paper's"}


def test_what_is_the_papers_what_is_within_the_noise_and_what_is_off():
    """The same numbers, were the sentences the paper's."""
    experiment = experiment_of("table3")
    stated = replace(experiment, paper=replace(experiment.paper, open=""))
    runs = runs_of("table3", as_the_paper_within_the_noise_and_off)
    points = [Point(one.method, {"seed": one.config["seed"]}, None, one) for one in runs]
    table = beside_paper(pairs_table(stated, points), stated, points)
    ours = "6.16 ± 0.44<br>paper 6.06 ± 0.44 (+0.10 ≈) | **92.67 ± 0.42**<br>paper 95.67 ± 0.42 (-3.00 ↓)"
    assert f"| {ours} |" in to_markdown(table)
    latex = to_latex(table)
    assert r" & {\footnotesize paper} & {\footnotesize 1.72 $\pm$ 0.25 (+0.00 $\approx$)} &" in latex
    assert r"(-3.00 $\downarrow$)" in latex and r"(+3.00 $\uparrow$)" in latex
    place = ("gpt2", "gpt2_medium", "param-wip", "recall@1")
    [row] = [row for row in csv_of(table) if tuple(row.values())[:4] == place]
    assert (row["paper_mean"], row["paper_std"], row["paper_n"]) == ("0.9467", "0.0037", "6")
    assert float(row["difference"]) == pytest.approx(-0.03) and row["verdict"] == "lower"
    assert 0 < float(row["p"]) < 1e-5 and row["reason"] == ""
    assert {row["reason"] for row in csv_of(table)} == {"", "both stds are zero"}


@pytest.mark.parametrize("name", ["table2", "table3", "table6", "table7"])
def test_where_the_papers_setting_cannot_be_had_nothing_is_concluded(name):
    """Template sentences; reviews paired by sentences that the paper does not name."""
    rows = csv_of(table_of(name, runs_of(name)))
    assert {(row["verdict"], row["p"]) for row in rows} == {("", "")}
    assert {row["reason"] for row in rows if row["difference"]} == {experiment_of(name).paper.open}


# Table 5 and Appendix B, by our names.
PRINTED = {
    "aligner": {"name": "relative", "shrinkage": 0.15, "standardise": "none", "eps": 5e-8},
    "anchors": {
        "name": "param",
        "m": 300,
        "temperature": 2.9,
        "epochs": 95,
        "lr": 0.03,
        "batch": 1024,
        "nce_weight": 0.7,
        "nce_temperature": 0.1,
        "coverage_weight": 11.3,
        "coverage_temperature": 2.7,
        "orthogonality_weight": 0.27,
        "length_weight": 1.2,
        "coverage_chunk": 1,
    },
}


@pytest.mark.parametrize(
    ("group", "key", "value", "reason"),
    [
        ("anchors", "name", "param_single", None),
        ("anchors", "batch", 256, "anchors.batch=256 instead of 1024"),
        ("anchors", "m", 64, "anchors.m=64 instead of 300"),
        ("anchors", "length_weight", 0.0, "anchors.length_weight=0.0 instead of 1.2"),
        ("aligner", "shrinkage", "auto", "aligner.shrinkage=auto instead of 0.15"),
        ("aligner", "eps", 0.0, "aligner.eps=0.0 instead of 5e-08"),
    ],
)
def test_a_verdict_needs_every_hyperparameter_of_the_paper(group, key, value, reason):
    method = {**PRINTED, group: {**PRINTED[group], key: value}}
    table = table_of("table1", runs_of("table1", config=settings("table1") | {"method": method}))
    told = {row["reason"] for row in csv_of(table) if row["difference"]}
    assert told == {reason or ""} and ("Welch" in note_of(table)) == (reason is None)


def test_what_was_asked_for_besides_makes_no_verdict():
    experiment, runs = experiment_of("table1"), runs_of("table1")
    points = [Point(one.method, {"seed": one.config["seed"]}, None, one) for one in runs]
    table = beside_paper(pairs_table(experiment, points), experiment, points, ["decoder=svm"])
    told = {row["reason"] for row in csv_of(table) if row["difference"]}
    assert told == {"not as the experiment's file has it"}


def test_table_1_with_the_paper_fits_a_hundred_columns():
    table = table_of("table1", runs_of("table1", lambda key, paper: (paper.mean - 0.15, 0.02)))
    text = terminal(table)
    assert max(map(len, text.splitlines())) <= 100 and "…" not in text
    assert text.count("-15.00↓") == 52 and text.count("-15.00") == 52 + 3 + 4


def below(table):
    """(mean, difference, verdict) under each cell that has one; of the closing rows and of the others."""
    found = {True: [], False: []}
    for line in table.rows:
        found[line.closing] += [
            (one.beside.mean, one.beside.difference, one.beside.verdict)
            for one in line.cells
            if one and one.beside
        ]
    return found[True], found[False]


LOCAL = {"vit_s": {"encoder": {"architecture": "vit"}, "trained_on": {}, "version": 1}}


@pytest.mark.parametrize(
    "config",
    [
        settings("table1") | {"data": {"image": {"name": "digits"}}},
        settings("table1", limit=500),
        settings("table1") | {"encoders": settings("table1")["encoders"] | LOCAL},
        settings("table1") | {"encoders": {"vit": {"model": "hub/other", "commit": "0"}}},
        settings("table1") | {"data": {"name": "precomputed"}, "encoders": {"sha256": "0", "encoders": None}},
    ],
    ids=["other data", "part of the data", "trained here", "other encoders", "a file of embeddings"],
)
def test_beside_other_data_or_encoders_only_means_stand_and_nothing_is_concluded(config):
    table = table_of("table1", runs_of("table1", config=config))
    closing, others = below(table)
    assert others == [] and {(difference, verdict) for _, difference, verdict in closing} == {(None, "")}
    pairs = [v.mean for k, v in paper_table("table1").values.items() if k[0] != k[1] and k[2] == "param-wip"]
    assert closing[1][0] == pytest.approx(sum(pairs) / 12)
    assert "for orientation, nothing is concluded" in note_of(table) and "Welch" not in note_of(table)
    assert not any("paper_mean" in row for row in csv_of(table))


def test_some_of_the_papers_encoders_stand_beside_the_same_pairs_of_the_paper_without_a_verdict():
    records = [
        replace(one, rows=[row for row in one.rows if "vit_r50" not in (row.source, row.target)])
        for one in runs_of("table1", config=settings("table1", encoders=["vit_s", "rexnet", "vit_b"]))
    ]
    table = table_of("table1", records)
    closing, others = below(table)
    assert len(others) == 3 + 9 * 3 and all(difference == pytest.approx(0) for _, difference, _ in closing)
    assert {verdict for *_, verdict in [*closing, *others]} == {""}
    assert "Ours is without vit_r50, which the paper has." in note_of(table)


def test_a_row_of_metrics_is_beside_the_one_number_that_the_paper_states():
    """Without a verdict: on which encoders besides these two anchors were learned it does not say."""

    def values(key, paper):
        return paper.mean + (0.1 if key[3] == "nmse" else 0.0), paper.std

    records = []
    for one in runs_of(
        "table4", values, settings("table4", encoders=["vit_b", "vit_s", "rexnet", "vit_r50"])
    ):
        pairs = [
            row._replace(source=source, target=target)
            for row in one.rows
            for source, target in (("vit_b", "vit_s"), ("vit_s", "vit_b"), ("rexnet", "vit_b"))
        ]
        records.append(replace(one, rows=[row for row in pairs if row.metric != "rr_std"]))
    table = table_of("table4", records)
    assert "| MRR | pairs | 0.281 ± 0.003<br>paper 0.281 ± 0.003 (+0.000) |" in to_markdown(table)
    assert "1.061 ± 0.006<br>paper 0.961 ± 0.006 (+0.100)" in to_markdown(table)
    elsewhere = table_of("table4", [replace(one, config={**one.config, "data": {}}) for one in records])
    assert "0.281 ± 0.003<br>paper 0.281 |" in to_markdown(elsewhere)


def test_without_std_of_ours_there_is_a_difference_and_no_verdict():
    table = table_of("table1", runs_of("table1", same, seeds=[0]))
    assert {row["verdict"] for row in csv_of(table)} == {""}
    assert "No test: one seed of ours (59)." in note_of(table)
    assert "tested" not in table.beside


def test_a_number_that_the_paper_lacks_has_nothing_beside_it():
    experiment = replace(experiment_of("table1"), methods={"mine": []})
    mine = [Point("mine", {"seed": 0}, None, one) for one in runs_of("table1") if one.method == "param-wip"]
    table = beside_paper(pairs_table(experiment, mine), experiment, mine)
    assert below(table) == ([], []) and table.beside == ""
