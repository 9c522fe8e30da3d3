"""The paper's numbers, against counts and sums taken from its text by other means than the files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from relrep_exp.errors import UserError
from relrep_exp.report.tables import paper_numbers
from relrep_exp.report.tables.measures import measure_of
from relrep_exp.report.tables.paper_numbers import numbers, paper_table
from relrep_exp.store.files import CONF

FOLDER = Path(paper_numbers.__file__).parents[1] / "paper"
METHODS = ["absolute", "random-cosine", "param-wip", "param_single-wip"]
COUNTS = {"table1": 52, "table2": 32, "table3": 24, "table4": 9, "table6": 80, "table7": 48}
# Sums of the means and stds over a column as the paper prints it, in units of the last digit.
COLUMNS = {
    "table1": [(35662, 63), (121115, 1599), (139805, 264), (139065, 253)],
    "table2": [(18401, 50), (74503, 3586), (90417, 236), (88757, 441)],
    "table3": [(1482, 204), (4578, 578), (55328, 262), (59788, 138)],
    "table4": [(1191, 22), (1926, 7), (2455, 10)],
    "table6": [(45352, 103), (192853, 6907), (222008, 584), (217591, 1070)],
    "table7": [(1998, 337), (6866, 849), (108122, 725), (118970, 292)],
}
# The same over a row.
TABLE_2 = [24942, 25131, 25045, 37316, 25225, 24545, 35679, 24692, 24853, 24650]
TABLE_1 = [35777, 24602, 25060, 25122, 21225, 32040, 20793, 20895]
TABLE_1 += [26598, 26008, 37079, 26456, 26175, 25503, 26010, 36304]
TABLE_6 = (  # of de, es and zh
    [35093, 24514, 24544, 24267, 24178],
    [25266, 25218, 36328, 25336, 25463],
    [24921, 25262, 25086, 25173, 35077],
)
TABLE_3 = [19616, 19644, 22455, 20345, 19728, 19388]
ROWS = {
    "table1": TABLE_1,
    "table2": TABLE_2,
    "table3": TABLE_3,
    "table4": [693, 2496, 2383],
    "table6": [*TABLE_6[0], *TABLE_2[5:], *TABLE_6[1], *TABLE_2[:5], *TABLE_6[2]],
    "table7": [*TABLE_3, 20200, 19994, 19572, 18632, 18099, 18283],
}
ROW_STDS = {
    "table1": [73, 173, 197, 202, 259, 70, 202, 204, 103, 135, 53, 131, 81, 123, 113, 60],
    "table4": [6, 28, 5],
    "table7": [115, 99, 519, 111, 120, 218, 70, 76, 255, 276, 133, 211],
}


def lines(name):
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        return list(csv.reader(file))


def units(name, text):
    """A number as printed in units of its last digit."""
    whole, part = text.split(".")
    assert len(part) == (3 if name == "table4" else 2)
    return int(whole + part)


def sums(name, place):
    """(mean, std) summed over the lines of each place."""
    found = {}
    for line in lines(name)[1:]:
        mean, std = found.get(place(line), (0, 0))
        found[place(line)] = mean + units(name, line[4]), std + units(name, line[5])
    return found


def test_every_table_is_here():
    assert numbers() == sorted(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_it_has_every_number_once_and_its_columns_and_rows_add_up_in_the_papers_order(name):
    found = [tuple(line[:4]) for line in lines(name)[1:]]
    assert len(found) == len(set(found)) == COUNTS[name] == len(paper_table(name).values)
    measured = [measure for measure in ("recall@1", "recall@5") if name in ("table3", "table7")]
    columns = sums(name, (lambda line: (line[2], line[3])) if measured else (lambda line: line[2]))
    order = [(m, k) for m in METHODS for k in measured] if measured else METHODS
    assert [columns[place] for place in order if place in columns] == COLUMNS[name]
    rows = sums(name, (lambda line: line[3]) if name == "table4" else (lambda line: (line[0], line[1])))
    assert [mean for mean, _ in rows.values()] == ROWS[name]
    if name in ROW_STDS:
        assert [std for _, std in rows.values()] == ROW_STDS[name]


def test_tables_2_and_3_are_parts_of_6_and_7():
    for part, whole in (("table2", "table6"), ("table3", "table7")):
        assert paper_table(part).values.items() < paper_table(whole).values.items()


@pytest.mark.parametrize("name", COUNTS)
def test_its_names_are_ours(name):
    zoo = {"table2": "bert", "table6": "bert", "table3": "slm", "table7": "slm"}.get(name, "vision")
    ours = yaml.safe_load((CONF / "zoo" / f"{zoo}.yaml").read_text())["encoders"]
    assert paper_table(name).encoders <= set(ours)
    for first, second, method, metric in paper_table(name).values:
        assert method in METHODS and measure_of(metric).label != metric
        assert (method == "absolute") <= (first == second)


def test_percentages_are_read_as_fractions_and_other_numbers_as_they_stand():
    first = paper_table("table1").values["vit_s", "rexnet", "random-cosine", "f1_weighted"]
    assert (first.mean, first.std, first.n) == (pytest.approx(0.7111), pytest.approx(0.0128), 6)
    both = "vit_b+vit_s"
    assert paper_table("table4").values[both, both, "random-cosine", "nmse"].mean == 1.108
    assert paper_table("table4").encoders == {"vit_b", "vit_s"}
    assert paper_table("table7").fields == ("source_encoder", "zero_shot_encoder")


def test_a_table_that_there_is_not_is_told_with_those_that_there_are():
    with pytest.raises(UserError, match="no numbers called tabel1\n    -> did you mean table1"):
        paper_table("tabel1")


def test_the_figures_on_latent_translation():
    header, *found = lines("lst")
    assert header == ["experiment", "dataset", "setting", "method", "metric", "mean", "std"]
    assert {line[0] for line in found} <= {path.stem for path in (CONF / "experiment").iterdir()}
    found = [line[1:] for line in found]
    assert len(found) == len({tuple(line[:4]) for line in found}) == 21
    assert {line[5] for line in found} == {""}  # none is stated
    values = {(line[0], line[1], line[3]): float(line[4]) for line in found}
    assert values["CIFAR10", "standard scaling", "accuracy"] == 0.93
    assert values["CIFAR100", "autoencoders stitched", "mse"] == 0.06
    accuracies = sum(round(100 * float(line[4])) for line in found if line[3] == "accuracy")
    assert accuracies == 93 + 95 + 91 + 96 + 66 + 73 + 16 + 25 + 75 + 40 + 79 + 44
