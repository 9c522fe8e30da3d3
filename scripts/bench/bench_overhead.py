"""What the framework itself costs in a sweep under `basic`: everything but a run's own computation.

python scripts/bench/bench_overhead.py        # 12 runs of one second each and less; about two minutes
python scripts/bench/bench_overhead.py --runs 40 --loggers none

A run's computation is what its record's `timings` add up to. The rest of the sweep's time is divided among
the runs: first with the start of Python and the imports (`all`), then without what a sweep of one run takes
as well (`each more`); beside it the processor's time for each more run, computation and all, which other work
on the machine blurs less. `where` is what chosen functions take of it, by cProfile, which itself costs time.
"""

from __future__ import annotations

import argparse
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
LOGGERS = ("none", "csv", "wandb")
# What is looked for in a profile: (file's end, function) -> what it does. None of them calls another.
PLACES = {
    ("relrep_exp/app/plan.py", "make_parts"): "plan",
    ("hydra/_internal/config_loader_impl.py", "load_sweep_config"): "compose a job",
    ("hydra/_internal/hydra.py", "compose_config"): "compose a sweep",
    ("relrep_exp/app/request.py", "require"): "check beforehand",
    ("relrep_exp/app/track.py", "_attempt"): "logger",
    ("relrep_exp/app/provenance.py", "begin"): "provenance",
    ("relrep_exp/store/records.py", "_write"): "write the record",
    ("relrep_exp/store/records.py", "find"): "read a record",
    ("relrep_exp/tasks/measure.py", "measure"): "the computation",
    ("relrep_exp/app/closing.py", "close"): "the closing table",
}


@dataclass(frozen=True)
class Took:
    """One sweep: its wall-clock and processor time, and what its runs' own computation took, in seconds."""

    wall: float
    cpu: float
    computed: float


def main() -> None:
    """Measure and print."""
    args = parse()
    table = Table("logger", "records", "runs", "s per run, all", "each more", "CPU of each more", "where")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_embeddings(folder / "tiny.npz")
        for logger in args.loggers.split(","):
            for line in measured(folder, logger, args.runs):
                table.add_row(*line)
    Console(width=140).print(table)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--loggers", default=",".join(LOGGERS))
    return parser.parse_args()


def measured(folder: Path, logger: str, runs: int) -> Iterator[tuple[str, ...]]:
    """Two lines of the table: computed, then read from records."""
    outputs = {count: folder / f"{logger}_{count}" for count in (1, runs)}
    for records in ("fresh", "cached"):
        one, many = (sweep(folder, outputs[count], logger, count) for count in (1, runs))
        if records == "cached":
            one, many = replace(one, computed=0.0), replace(many, computed=0.0)
        whole = (many.wall - many.computed) / runs
        more = (many.wall - many.computed - one.wall + one.computed) / (runs - 1)
        profiled = outputs[runs] if records == "cached" else folder / f"{logger}_profiled"
        where = shares(folder, profiled, logger, runs)
        cpu = (many.cpu - one.cpu) / (runs - 1)
        yield logger, records, str(runs), f"{whole:.2f}", f"{more:.2f}", f"{cpu:.2f}", where


def sweep(folder: Path, outputs: Path, logger: str, runs: int, profile: Path | None = None) -> Took:
    """One sweep in a process of its own."""
    command = [sys.executable, *(["-m", "cProfile", "-o", str(profile)] if profile else []), "run.py", "-m"]
    words = ["task=precomputed_stitch", f"zoo.path={folder / 'tiny.npz'}", "anchors=random", "anchors.m=5"]
    words += ["decoder.epochs=1", f"logger={logger}", f"paths.outputs={outputs}", f"seed=range({runs})"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start, cpu = time.perf_counter(), _cpu()
    subprocess.run([*command, *words], cwd=ROOT, env=environment, check=True, capture_output=True)
    wall = time.perf_counter() - start
    records = [json.loads(path.read_text()) for path in (outputs / "records").glob("*.json")]
    return Took(wall, _cpu() - cpu, sum(sum(record["timings"].values()) for record in records))


def _cpu() -> float:
    """Processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shares(folder: Path, outputs: Path, logger: str, runs: int) -> str:
    """Seconds a run of what takes the most, by a sweep under cProfile, which itself costs time."""
    path = folder / "profile"
    sweep(folder, outputs, logger, runs, path)
    found: dict[str, float] = {}
    for (file, _, function), (*_, cumulative, _) in pstats.Stats(str(path)).stats.items():  # type: ignore[attr-defined]  # not in typeshed
        for (end, name), label in PLACES.items():
            if file.endswith(end) and function == name:
                found[label] = found.get(label, 0.0) + cumulative / runs
    largest = sorted(found.items(), key=lambda item: -item[1])
    return ", ".join(f"{label} {seconds:.2f}" for label, seconds in largest if seconds >= 0.005)


def write_embeddings(path: Path) -> None:
    """Three encoders of 90 samples of three classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    latent = 3.0 * np.eye(3)[labels] + rng.normal(size=(90, 3))
    spaces = {
        name: (latent @ rng.normal(size=(3, d))).astype("float32")
        for name, d in (("a", 6), ("b", 8), ("c", 10))
    }
    np.savez(path, **spaces, labels=labels, is_train=np.arange(90) < 60)


if __name__ == "__main__":
    main()
