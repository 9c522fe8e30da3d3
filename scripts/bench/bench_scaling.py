"""Time and memory of the parts against N, m, K and d, one at a time, with exponents and a plot.

python scripts/bench/bench_scaling.py        # minutes; a table, and scaling.png, .pdf, .csv in outputs/bench/
python scripts/bench/bench_scaling.py --quick # a small grid, about a minute

Every part has a process of its own. Seconds are the least of several runs after one that does not count;
memory is the peak of anonymous pages beyond what the inputs take. An exponent is the slope of the line
through log(size), log(seconds or MiB) over the sizes named above it; it is left out where all is below a MiB.
An axis that a part does not read is left out, too.
"""

from __future__ import annotations

import argparse
import csv
import gc
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from bench_param import batches_for, module_for, synthetic_spaces
from benchmarking import Peak, in_child, refused

from relrep_exp.alignment.anchors import AnchorSet
from relrep_exp.alignment.metrics import retrieve
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.whitening import moments
from relrep_exp.errors import Problem, UserError, tell
from relrep_exp.store.files import require_writable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Work = Callable[[], object]
SECONDS = 0.3  # of runs of one part and size, beside the first


@dataclass(frozen=True)
class Sizes:
    """One point of the grid.

    Attributes:
        n: N, samples.
        m: anchors.
        k: K, support samples.
        d: dimension of each encoder.
    """

    n: int
    m: int
    k: int
    d: int


@dataclass(frozen=True)
class Measured:
    """One part at one point.

    Attributes:
        seconds: of one run.
        mebibytes: beyond the inputs.
    """

    seconds: float
    mebibytes: float


def param_step(sizes: Sizes) -> tuple[Work, int]:
    """Steps of PARAM on three encoders, minibatches of 1,024."""
    args = argparse.Namespace(
        n=sizes.n, dims=[sizes.d] * 3, support=sizes.k, anchors=sizes.m, batch=1024, device="cpu"
    )
    module = module_for(args, synthetic_spaces(args), "float32")
    optimizer = module.configure_optimizers()
    rows = next(iter(batches_for(args)))

    def step() -> None:
        loss = module.training_step(rows, 0)["loss"]
        optimizer.zero_grad()
        module.backward(loss)
        optimizer.step()

    return step, 1


def statistics(sizes: Sizes) -> tuple[Work, int]:
    """Mean and covariance of N embeddings."""
    x = _random(sizes.n, sizes.d)
    return lambda: moments(x), 1


def projection(sizes: Sizes) -> tuple[Work, int]:
    """WIP of N embeddings with m anchors."""
    x = _random(sizes.n, sizes.d)
    anchors = AnchorSet.picking(torch.arange(sizes.m), torch.arange(sizes.m))
    space = RelativeSpace(anchors).join("a", x[: sizes.m], metric=x)
    return lambda: space.transform(x, "a"), 1


def head_step(sizes: Sizes) -> tuple[Work, int]:
    """Steps of a bank of four heads on N representations: an epoch in minibatches of 32, over its steps."""
    from relrep_exp.config.schema import HeadConfig
    from relrep_exp.tasks.decoders.head_training import fit_heads
    from relrep_exp.training.device import Training

    x = [_random(sizes.n, sizes.m) for _ in range(4)]
    y = torch.arange(sizes.n) % 20
    settings = HeadConfig(name="mlp", epochs=1)
    return lambda: fit_heads(x, [y] * len(x), 20, range(4), settings, Training()), -(-sizes.n // 32)


def retrieval(sizes: Sizes) -> tuple[Work, int]:
    """Ranks of N partners among N representations."""
    one, other = _random(sizes.n, sizes.m), _random(sizes.n, sizes.m)
    return lambda: retrieve(one, other), 1


PARTS: dict[str, tuple[Callable[[Sizes], tuple[Work, int]], str]] = {  # and the axes that it reads
    "PARAM step": (param_step, "nmkd"),
    "mean, covariance": (statistics, "nd"),
    "WIP projection": (projection, "nmd"),
    "heads, step": (head_step, "nm"),
    "retrieval": (retrieval, "nm"),
}
NAMES = {"n": "N", "m": "m", "k": "K", "d": "d"}
Results = Mapping[tuple[str, str], Mapping[int, Measured]]


def main() -> int:
    """Measure, print, write."""
    args = arguments()
    folder = Path(args.out)
    unwritable = [Problem(p.what, "choose another folder: --out DIR") for p in require_writable(folder)]
    if problems := [*refused(args), *unwritable]:
        return tell(UserError(problems))
    base, factors = (Sizes(4000, 100, 500, 128), 3) if args.quick else (Sizes(10_000, 300, 2000, 384), 4)
    grid = {axis: [size * 2**i // 2 for i in range(factors)] for axis, size in asdict(base).items()}
    threads = args.threads or torch.get_num_threads()
    print(f"beside the axis N={base.n:,} m={base.m} K={base.k:,} d={base.d}; float32, {threads} threads")
    results = measured(base, grid, threads)
    print_exponents(results)
    write_csv(folder / "scaling.csv", results)
    draw(folder, results)
    print(f"written: {folder}/scaling.png, .pdf, .csv")
    return 0


def measured(base: Sizes, grid: Mapping[str, list[int]], threads: int) -> Results:
    """Every part along every axis that it reads."""
    results: dict[tuple[str, str], dict[int, Measured]] = {}
    for part, (_, axes) in PARTS.items():
        points = [(axis, size) for axis in axes for size in grid[axis]]
        different = list(dict.fromkeys(replace(base, **{axis: size}) for axis, size in points))
        found = dict(zip(different, in_child(measure, part, different, threads), strict=True))
        for axis, size in points:
            results.setdefault((part, axis), {})[size] = found[replace(base, **{axis: size})]
        for axis in axes:
            told = "".join(
                f"{size:>9,}: {1e3 * one.seconds:8.1f} ms {one.mebibytes:7.1f} MiB"
                for size, one in results[part, axis].items()
            )
            print(f"{part:18s}{NAMES[axis]} {told}", flush=True)
    return results


def measure(part: str, points: list[Sizes], threads: int) -> list[Measured]:
    """One part at these points, in the process that calls."""
    torch.set_num_threads(threads)
    return [measure_one(*PARTS[part][0](sizes)) for sizes in points]


def measure_one(work: Work, steps: int) -> Measured:
    """Of one step where a run of the work makes several."""
    work()
    gc.collect()
    times: list[float] = []
    with Peak() as peak:
        while not times or sum(times) < SECONDS:
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    return Measured(min(times) / steps, peak.anonymous)


def print_exponents(results: Results) -> None:
    """Seconds and MiB as powers of the sizes."""
    print(f"\nexponents of seconds, of MiB\n{'':18s}", end="")
    ranges = {axis: list(sizes) for (_, axis), sizes in results.items()}
    for axis, sizes in ranges.items():
        print(f"{f'{NAMES[axis]} {min(sizes):,}-{max(sizes):,}':>18s}", end="")
    print()
    for part in PARTS:
        told = (_told_exponents(results.get((part, axis), {})) for axis in ranges)
        print(f"{part:18s}" + "".join(told))


def _told_exponents(points: Mapping[int, Measured]) -> str:
    if not points:
        return " " * 18
    seconds = exponent(list(points), [one.seconds for one in points.values()])
    memory = exponent(list(points), [one.mebibytes for one in points.values()], smallest=1.0)
    return f"{seconds:10.2f}," + (f"{memory:7.2f}" if not math.isnan(memory) else f"{'-':>7s}")


def exponent(sizes: list[int], values: list[float], smallest: float = 0.0) -> float:
    """Slope of least squares through the logarithms; NaN where no value is above the smallest."""
    if not max(values) > smallest:
        return math.nan
    x, y = (torch.tensor(numbers).double().clamp_min(1e-9).log() for numbers in (sizes, values))
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def write_csv(path: Path, results: Results) -> None:
    """All numbers."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("part", "axis", "size", "seconds", "mebibytes"))
        for (part, axis), sizes in results.items():
            for size, one in sizes.items():
                writer.writerow((part, NAMES[axis], size, one.seconds, one.mebibytes))


def draw(folder: Path, results: Results) -> None:
    """One column of panels for each axis: time above, memory below."""
    from matplotlib import rc_context
    from matplotlib.lines import Line2D

    from relrep_exp.report.figures.style import RC, blank_figure, marked_lines

    styles = dict(zip(PARTS, marked_lines(len(PARTS)), strict=True))
    with rc_context(RC):
        figure = blank_figure(10.0, 5.2)
        panels = figure.subplots(2, len(NAMES), sharex="col", sharey="row", squeeze=False)
        for column, axis in enumerate(NAMES):
            for part in (part for part, (_, axes) in PARTS.items() if axis in axes):
                sizes, points = list(results[part, axis]), results[part, axis].values()
                panels[0, column].plot(sizes, [1e3 * one.seconds for one in points], **styles[part])
                held = [max(one.mebibytes, 0.1) for one in points]
                panels[1, column].plot(sizes, held, **styles[part])
            for panel in panels[:, column]:
                _scale(panel, sizes)
            panels[1, column].set_xlabel(NAMES[axis])
        panels[0, 0].set_ylabel("milliseconds")
        panels[1, 0].set_ylabel("MiB beyond the inputs")
        handles = [Line2D([], [], label=part, **style) for part, style in styles.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=3.2)
        for suffix in ("png", "pdf"):
            figure.savefig(folder / f"scaling.{suffix}", dpi=150)


def _scale(panel: Axes, sizes: list[int]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.xaxis.set_major_locator(FixedLocator(sizes))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
    panel.grid(axis="y", color="0.92", linewidth=0.6)


def _random(n: int, d: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0)) + 1.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small grid")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", default="outputs/bench", help="folder of the plot and the numbers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
