"""Table 1's whole protocol, one seed, on made-up embeddings of the paper's shape: where the time goes.

python scripts/bench/bench_paper_scale.py                 # 50,000 + 10,000 samples: over an hour of two cores
python scripts/bench/bench_paper_scale.py --fraction 0.05 # minutes
python scripts/bench/bench_paper_scale.py --precision bf16 --device cuda

Four encoders of dimension 384, 1,280, 768 and 768 see 20 planted classes through affine maps and noise of
their own. Then the code behind `run.py` does what it does for `experiment=table1`: four methods, every
encoder held out in turn, 95 epochs for each fit of PARAM, 9 for each head. Some steps of the paper's
equations in plain PyTorch follow in the same process (`literal.py`), scaled to the same number of steps.
--fraction scales the samples and the support. Every phase counts the time that is its own, and its matrix
products by formula.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from statistics import fmean

import torch
from bench_param import step_gflop
from benchmarking import Phase, Phases, gemm_peak, refused
from literal import literal_parts
from made_up import DIMS, paper_shaped, scaled

from relrep_exp.alignment import metrics
from relrep_exp.alignment.param.learn import Param
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.app.plan import Run, distinct, make_plan
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.errors import Problem, UserError, tell
from relrep_exp.tasks.decoders import head_training
from relrep_exp.tasks.held_out import fit_aligners
from relrep_exp.tasks.measure import measure
from relrep_exp.tasks.work import Work
from relrep_exp.training.device import Runtime
from relrep_exp.training.fit import EpochBatches

MULTI, SINGLE, HEADS = "PARAM Multi fits", "PARAM Single fits", "heads"
STATISTICS, PROJECTION, AGREEMENT = "statistics", "projections", "agreement (MRR, CKA, overlap)"


def main() -> int:
    """Run the protocol, then the literal steps, and print the tables."""
    args = arguments()
    outputs = args.outputs or tempfile.mkdtemp(prefix="paper_scale_")
    try:
        bench(args, chosen(args, outputs))
    except UserError as error:
        return tell(error)
    finally:
        if args.outputs is None:
            shutil.rmtree(outputs)
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the samples and of the support")
    parser.add_argument("--precision", choices=["float32", "bf16", "tf32"], default="float32")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", help="some of Table 1's, e.g. param-wip; else all")
    parser.add_argument("--test-encoders", nargs="+", choices=list(DIMS), help="hold out these alone")
    parser.add_argument("--literal-steps", type=int, default=5, help="of PARAM, timed; 0: no literal side")
    parser.add_argument(
        "--outputs", help="keep fits here and take up those that are; else a temporary folder"
    )
    return parser.parse_args()


def chosen(args: argparse.Namespace, outputs: str) -> list[Run]:
    """The runs that are asked for.

    Raises:
        UserError: what cannot be run, or not here.
    """
    problems = list(refused(args, zero=("threads", "seed", "literal_steps")))
    asked = [] if problems else distinct(make_plan(overrides(args, outputs), sweep=False))
    known = [run.arm.method for run in asked]
    for name in args.methods or []:
        if asked and name not in known:
            problems.append(
                Problem(f"--methods {name}: Table 1 has none", f"give some of {', '.join(known)}")
            )
    if problems:
        raise UserError(problems)
    return [run for run in asked if args.methods is None or run.arm.method in args.methods]


def bench(args: argparse.Namespace, runs: list[Run]) -> None:
    """All of it, with results in a folder."""
    runtime = Runtime.of(runs[0].config.runtime)
    device = runtime.device.type
    embeddings = paper_shaped(args.fraction, args.seed).to(runtime.device)
    peak = gemm_peak(device)
    phases, started = watched_phases(device), time.perf_counter()
    with phases.watching_memory(), phases.phase("all else"):
        found = [one_method(run, embeddings, runtime) for run in runs]
    whole = time.perf_counter() - started
    peak = max(peak, gemm_peak(device))
    print_head(args, embeddings, runtime, peak)
    print_phases(phases, whole, peak)
    print("\n".join(found))
    if args.literal_steps:
        print_literal(args, embeddings, phases, whole)


def overrides(args: argparse.Namespace, outputs: str) -> list[str]:
    """Table 1 for one seed, as on the command line."""
    return [
        "experiment=table1",
        f"seed={args.seed}",
        f"aligner.support={scaled(5000, args.fraction)}",
        f"runtime.precision={args.precision}",
        f"runtime.device={args.device}",
        f"runtime.threads={args.threads}",
        "runtime.progress=off",
        f"paths.outputs={outputs}",
        *([f"task.test_encoders={args.test_encoders}"] if args.test_encoders else []),
    ]


def watched_phases(device: str) -> Phases:
    """The parts of the protocol, wrapped where they are."""
    phases = Phases(device)
    phases.wrap(Whitening, "fit", STATISTICS, lambda x, *_: 2e-9 * len(x) * x.shape[1] ** 2)
    phases.wrap(RelativeSpace, "transform", PROJECTION, projection_gflop)
    phases.wrap(metrics, "retrieve", AGREEMENT, lambda a, b: 2e-9 * len(a) ** 2 * a.shape[1])
    phases.wrap(metrics, "neighbourhood_overlap", AGREEMENT, lambda a, *_: 4e-9 * len(a) ** 2 * a.shape[1])
    phases.wrap(metrics, "linear_cka", AGREEMENT, lambda a, b: 6e-9 * len(a) * a.shape[1] * b.shape[1])
    phases.wrap(head_training, "fit_heads", HEADS, heads_gflop, made=lambda x, *_: len(x))
    inner = Param.__call__

    def learn(strategy, spaces, ids, m, seed):  # type: ignore[no-untyped-def]
        with phases.phase(MULTI if len(spaces) > 1 else SINGLE) as own:
            own.gflop += param_gflop(strategy, spaces, ids, m)
            own.made += 1
            print(f"learning on {', '.join(spaces)}", file=sys.stderr, flush=True)
            return inner(strategy, spaces, ids, m, seed)

    Param.__call__ = learn  # type: ignore[method-assign]
    return phases


def param_gflop(strategy: Param, spaces: dict, ids: torch.Tensor, m: int) -> float:  # type: ignore[type-arg]
    """Of a whole fit, in 10^9."""
    rows, s = len(next(iter(spaces.values())).x), strategy.settings
    dims = [space.x.shape[1] for space in spaces.values()]
    steps = len(EpochBatches(rows, s.batch, [0], ids.device)) * s.epochs
    return steps * step_gflop(dims, len(ids), m, min(s.batch, rows))


def projection_gflop(space: RelativeSpace, x: torch.Tensor, encoder: str) -> float:
    """Of x [N, d] onto the anchors, in 10^9."""
    return 2e-9 * x.numel() * len(space.members[encoder].anchors)


def heads_gflop(x, y, classes, seeds, settings, training) -> float:  # type: ignore[no-untyped-def]
    """Forward, and twice backward, of all heads and epochs, in 10^9."""
    rows, k = x[0].shape
    return 6e-9 * len(x) * settings.epochs * rows * k * (k + classes)


def one_method(run: Run, embeddings: Embeddings, runtime: Runtime) -> str:
    """Run one method; a line with its mean F1 and MRR over pairs of different encoders."""
    work = Work(run.config, embeddings, runtime.training)
    result = measure(work, fit_aligners(work))
    by_metric: dict[str, list[float]] = {}
    for row in result.rows:
        if (row.source != row.target) != (run.config.aligner.name == "absolute"):
            by_metric.setdefault(row.metric, []).append(row.value)
    f1 = f"F1 {fmean(by_metric['f1_weighted']):6.2%}"
    mrr = f"   MRR {fmean(by_metric['mrr']):.3f}" if "mrr" in by_metric else ""
    taken = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in result.timings.items())
    print(f"{run.label}: {taken} s", file=sys.stderr, flush=True)
    return f"{run.label:32s}{f1}{mrr}"


def print_head(args: argparse.Namespace, embeddings: Embeddings, runtime: Runtime, peak: float) -> None:
    """What was run, and where."""
    shapes = {name: tuple(corpus.x.shape) for name, corpus in embeddings.paired.items()}
    print(f"Table 1's protocol, seed {args.seed}, fraction {args.fraction:g}: {shapes}")
    print(
        f"{args.precision} on {runtime.device}, {torch.get_num_threads()} threads; "
        f"GEMM peak in float32, 2048^3, measured: {peak / 1e9:.1f} GFLOP/s"
    )


def print_phases(phases: Phases, whole: float, peak: float) -> None:
    """The table."""
    print(f"{'phase':32s}{'calls':>6s}{'seconds':>10s}{'of all':>8s}{'GFLOP':>11s}{'of peak':>9s}{'MB':>9s}")
    for name, own in sorted(phases.known.items(), key=lambda item: -item[1].seconds):
        share = f"{own.gflop * 1e9 / own.seconds / peak:8.1%}" if own.gflop else ""
        print(
            f"{name:32s}{own.calls:6d}{own.seconds:10.1f}{own.seconds / whole:8.1%}{own.gflop:11.0f}"
            f"{share:>9s}{own.megabytes:9.0f}"
        )
    total = sum(own.gflop for own in phases.known.values())
    print(f"{'all':32s}{'':6s}{whole:10.1f}{1:8.1%}{total:11.0f}{total * 1e9 / whole / peak:9.1%}")


def print_literal(args: argparse.Namespace, embeddings: Embeddings, phases: Phases, whole: float) -> None:
    """What the paper's equations in plain PyTorch would have taken for the same parts."""
    literal = literal_parts(embeddings, args.fraction, args.literal_steps)
    print(
        f"\nthe equations as printed, {args.literal_steps} steps of each fit and 200 of a head timed, scaled"
    )
    print(
        f"{'phase':28s}{'they make':>10s}{'in s':>10s}{'we make':>9s}{'in s':>9s}{'ratio':>7s}{'of one':>8s}"
    )
    known = phases.known
    for name, (count, seconds) in literal.items():
        ours = known.get(name, Phase())
        ratio = seconds / max(ours.seconds, 1e-9)
        one = ratio * ours.made / count
        print(f"{name:28s}{count:10d}{seconds:10.1f}{ours.made:9d}{ours.seconds:9.1f}{ratio:7.2f}{one:8.2f}")
    rest = whole - sum(known[name].seconds for name in literal if name in known)
    total = sum(seconds for _, seconds in literal.values()) + rest
    print(f"{'all, the rest as it is':28s}{'':10s}{total:10.1f}{'':9s}{whole:9.1f}{total / whole:7.2f}")


if __name__ == "__main__":
    sys.exit(main())
