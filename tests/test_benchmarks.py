"""Benchmarks say at once what cannot be run, all of it, and with what to do instead."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
from alignment.param.synthetic import K, M, views, whitened
from torch.utils.flop_counter import FlopCounterMode

from relrep_exp.alignment.param.learn import Param, ParamModule, ParamSettings
from relrep_exp.alignment.similarity import get_similarity

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts" / "bench"

REFUSED = {
    "bench_alignment": (["--n", "0", "--repeats", "-1"], ["--n 0 ", "--repeats -1 "]),
    "bench_extract": (["--batch", "0", "--fraction", "-1"], ["--batch 0 ", "--fraction -1 "]),
    "bench_heads": (["--heads", "0", "--threads", "-1"], ["--heads 0 ", "--threads -1 "]),
    "bench_paper_scale": (["--fraction", "nan", "--seed", "-1"], ["--fraction nan ", "--seed -1 "]),
    "bench_param": (
        ["--dims", "64", "0", "--n", "10", "--support", "11"],
        ["--dims 0 ", "--support 11 is more than --n 10"],
    ),
    "bench_ranks": (["--n", "0", "--repeats", "-1"], ["--n 0 ", "--repeats -1 "]),
    "bench_scaling": (["--threads", "-1", "--out", "/proc/none"], ["--threads -1 ", "/proc/none"]),
    "bench_statistics": (
        ["--n", "9", "--anchors", "10", "--dim", "0", "--threads", "-1"],
        ["--n 9 is less than --anchors 10", "--dim 0 ", "--threads -1 "],
    ),
}


def run(monkeypatch, name, *arguments):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr("sys.argv", [name, *arguments])
    return importlib.import_module(name).main()


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_that_make_no_sense_are_all_told_and_nothing_runs(monkeypatch, capsys, name):
    arguments, told = REFUSED[name]
    assert run(monkeypatch, name, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("error: ") == err.count("\n    -> ") == len(told)
    assert all(part in err for part in told)


def test_a_method_that_table_1_does_not_have_is_named_beside_those_that_it_has(monkeypatch, capsys):
    assert run(monkeypatch, "bench_paper_scale", "--methods", "param-wip", "nothing") == 2
    err = capsys.readouterr().err
    assert "--methods nothing: Table 1 has none" in err
    assert "absolute, random-cosine, param-wip, param_single-wip" in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    "name, arguments",
    [("bench_param", ["--precisions", "tf32"]), ("bench_paper_scale", ["--precision", "tf32"])],
)
def test_tf32_and_a_gpu_are_refused_where_there_is_none(monkeypatch, capsys, name, arguments):
    assert run(monkeypatch, name, *arguments) == 2
    assert "tf32: only a GPU has it" in capsys.readouterr().err
    assert run(monkeypatch, name, "--device", "cuda") == 2
    assert "torch sees no GPU here" in capsys.readouterr().err


def product_flop(total, a, b, **_):
    """Operations of total += A B, which torch does not count in place; its arguments are shapes."""
    return 2 * a[0] * a[1] * b[1]


@pytest.mark.parametrize(("encoders", "similarity"), [(3, "wip"), (1, "wip"), (2, "cosine")])
def test_the_work_of_a_step_of_param_is_what_torch_counts(monkeypatch, encoders, similarity):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    spaces = views(encoders)
    strategy = Param(ParamSettings(batch=32), get_similarity(similarity))
    module = ParamModule(whitened(spaces), torch.arange(K), M, 0, strategy)
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: product_flop}) as counter:
        module.training_step(torch.arange(32)[None], 0)["loss"].backward()
    dims = [x.shape[1] for x in spaces.values()]
    counted = importlib.import_module("bench_param").step_gflop(dims, K, M, 32, similarity != "wip")
    assert counted == pytest.approx(counter.get_total_flops() / 1e9, rel=1e-9)
