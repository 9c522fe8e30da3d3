"""Keys and rows of whole runs are what they were (tests/golden/*.json, made by tests/golden/make.py).

Keys are equal, rows are the same ones, and every number is within .005: relative for metrics without a bound
and for squared errors, absolute for all others; counts are equal; NaN equals NaN.
"""

import math

import pytest

from .make import CASES, ELSEWHERE, EXACT, LONG, RELATIVE, SLOW, TOLERANCE, golden, keys, planned, processor
from .make import records as made
from .make import words as command


def values(rows):
    """`source target method metric` -> value."""
    found = {name: float(value) for name, _, value in (row.rpartition(" ") for row in rows)}
    assert len(found) == len(rows), "a row is there twice"
    return found


def agree(name, was, now, tolerance):
    """Whether a number is what it was."""
    metric = name.rpartition(" ")[2]
    if math.isnan(was) or math.isnan(now):
        return math.isnan(was) and math.isnan(now)
    if metric in EXACT:
        return was == now
    if metric in RELATIVE:
        return math.isclose(was, now, rel_tol=tolerance, abs_tol=1e-6)
    return was == now or abs(was - now) <= tolerance  # equal: both infinite


def moved(was, now, tolerance):
    """The rows of a record that are lost, new or another number."""
    was, now = values(was), values(now)
    told = [f"lost: {name}" for name in sorted(was.keys() - now.keys())]
    told += [f"new: {name}" for name in sorted(now.keys() - was.keys())]
    both = [name for name in was if name in now and not agree(name, was[name], now[name], tolerance)]
    return told + [f"{name}: {was[name]:g}, now {now[name]:g}" for name in both]


def marks(case):
    return [pytest.mark.slow, pytest.mark.timeout(600)] if case in SLOW else []


@pytest.mark.parametrize("case", [pytest.param(case, marks=marks(case)) for case in CASES])
def test_keys_and_rows_are_what_they_were(told, tmp_path, case):
    code, _, err = told(*command(case, tmp_path))
    assert code == 0, err
    held = golden(case)
    was, now = held["records"], made(tmp_path)
    assert {key: it["method"] for key, it in now.items()} == {key: it["method"] for key, it in was.items()}
    tolerance = ELSEWHERE if case in LONG and held["processor"] != processor() else TOLERANCE
    changes = {was[key]["method"]: moved(was[key]["rows"], now[key]["rows"], tolerance) for key in was}
    assert not any(changes.values()), changes


@pytest.mark.parametrize("case", sorted(SLOW))
def test_keys_of_cases_that_take_long_are_what_they_were(tmp_path, case):
    assert keys(case, tmp_path) == {key: it["method"] for key, it in golden(case)["records"].items()}


def test_the_keys_of_table_1_are_what_they_were(tmp_path):
    assert planned(tmp_path) == golden("table1")["keys"]
    assert not (tmp_path / "outputs" / "records").exists()
