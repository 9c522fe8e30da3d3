"""Mean, covariance and WIP projection: against two passes and the bare product, and memory against N.

python scripts/bench/bench_statistics.py                              # d = 768; 50,000 and 1,000,000 rows
python scripts/bench/bench_statistics.py --n 20000 100000 --dim 256   # smaller

In memory, both sides get the same tensor of the first N, by turns; the table has medians. From files, each N
is written into a store of shards in a temporary folder, and read by a process of its own whose peak memory is
what it holds beyond imports and a first, small run. GFLOP count 2 N d^2 for the covariance, of which ours
computes little more than a half.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from benchmarking import Peak, by_turns, in_child, refused
from torch import Tensor

from relrep_exp.alignment.anchors import AnchorSet
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.whitening import Whitening, moments
from relrep_exp.errors import Problem, UserError, tell
from relrep_exp.store.files import free_bytes
from relrep_exp.store.keys import content_key
from relrep_exp.store.shards import Parts, Plan, ShardStore


def main() -> int:
    """Print both tables."""
    args = arguments()
    if problems := [*refused(args), *too_few_rows(args), *no_room(args)]:
        return tell(UserError(problems))
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"d={args.dim} anchors={args.anchors} float32, {torch.get_num_threads()} threads")
    in_memory(args)
    from_files(args)
    return 0


def too_few_rows(args: argparse.Namespace) -> Iterator[Problem]:
    """Anchors are picked among the rows."""
    if min(args.n) < args.anchors:
        yield Problem(
            f"--n {min(args.n)} is less than --anchors {args.anchors}", "give more rows, or fewer anchors"
        )


def no_room(args: argparse.Namespace) -> Iterator[Problem]:
    """Shards and their projection are written beside each other."""
    if not Path(args.folder).is_dir():
        yield Problem(f"there is no folder {args.folder}", "give another --folder")
        return
    needed = 1.1 * max(args.n) * (args.dim + args.anchors) * 4
    if (free := free_bytes(Path(args.folder))) < needed:
        what = f"{args.folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed"
        yield Problem(what, "give another --folder, or a smaller --n")


def in_memory(args: argparse.Namespace) -> None:
    """Ours against what it is measured by, on a tensor of the first N."""
    n, d, m = args.n[0], args.dim, args.anchors
    x = rows_of(0, n, d)
    space, folded = projection(x, m)
    print(f"\nin memory, N={n:,}; median of {args.repeats}")
    print(f"{'':28s}{'ours':>11s}{'beside':>11s}   ours / beside")
    covariance, product = 2e-9 * n * d**2, 2e-9 * n * d * m
    sides = {
        "mean, covariance; two passes": (lambda: moments(x), lambda: two_passes(x), covariance),
        "WIP projection; bare GEMM": (lambda: space.transform(x, "a"), lambda: x @ folded, product),
    }
    for name, (ours, beside, gflop) in sides.items():
        one, other = by_turns([ours, beside], args.repeats)
        rates = f"{gflop / one:.0f} and {gflop / other:.0f} GFLOP/s"
        print(f"{name:28s}{1e3 * one:8.0f} ms{1e3 * other:8.0f} ms{one / other:11.3f}x   {rates}", flush=True)


def two_passes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance as one writes them down: whole copies in float64, one product."""
    exact = x.double()
    mean = exact.mean(0)
    centred = exact - mean
    return mean, centred.T @ centred / (len(x) - 1)


def projection(x: Tensor, m: int) -> tuple[RelativeSpace, Tensor]:
    """A space that x has joined, and the matrix that a bare product of the same shape takes."""
    space = RelativeSpace(AnchorSet.picking(torch.arange(m), torch.arange(m))).join("a", x[:m], metric=x)
    member = space.members["a"]
    return space, (member.whitening(member.anchors) @ member.whitening.matrix).T.contiguous()


def from_files(args: argparse.Namespace) -> None:
    """Seconds and memory of a process that reads shards, for each N."""
    columns = ("GB", "verify", "statistics", "projection", "anonymous", "mapped")
    print(f"\nfrom files, shards of {args.shard:,} rows")
    print(f"{'N':>12s}" + "".join(f"{name:>13s}" for name in columns))
    for n in args.n:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            in_child(write_shards, folder, n, args.dim, args.shard)
            found = in_child(read_shards, folder, n, args.dim, args.anchors, torch.get_num_threads())
        verify, statistics, projected, anonymous, mapped = found
        rates = (2e-9 * n * args.dim**2 / statistics, 2e-9 * n * args.dim * args.anchors / projected)
        seconds = f"{4e-9 * n * args.dim:13.2f}{verify:11.1f} s{statistics:11.1f} s{projected:11.1f} s"
        memory = f"{anonymous:9.1f} MiB{mapped:9.1f} MiB"
        print(f"{n:12,}{seconds}{memory}   {rates[0]:.0f} and {rates[1]:.0f} GFLOP/s", flush=True)


def write_shards(folder: str, n: int, d: int, size: int) -> None:
    """Random embeddings [n, d], as an extraction stores them."""

    def make(parts: Parts, pending: list[int]) -> None:
        for shard in pending:
            rows = parts.plan.rows_of(shard)
            parts.write(shard, rows_of(shard, len(rows), d), {})

    ShardStore(Path(folder)).get_or_make(Plan(content_key({"rows": n}), n, size), {}, make)


def read_shards(
    folder: str, n: int, d: int, m: int, threads: int
) -> tuple[float, float, float, float, float]:
    """Seconds to verify, gather statistics and project; MiB of anonymous and of mapped memory at most."""
    torch.set_num_threads(threads)
    projection(rows_of(0, 4 * max(d, m), d), m)[0].transform(rows_of(0, 4096, d), "a")  # what is made once
    with Peak() as peak:
        times = [time.perf_counter()]
        x = ShardStore(Path(folder)).rows(content_key({"rows": n}))
        assert x is not None, "written a moment ago"
        times.append(time.perf_counter())
        Whitening.fit(x)
        times.append(time.perf_counter())
        space = RelativeSpace(AnchorSet.picking(torch.arange(m), torch.arange(m)))
        space.join("a", x[:m]).transform_file(x, "a", Path(folder) / "relative.npy")
        times.append(time.perf_counter())
    verify, statistics, projected = (after - before for before, after in pairwise(times))
    return verify, statistics, projected, peak.anonymous, peak.mapped


def rows_of(seed: int, n: int, d: int) -> Tensor:
    """Random rows with a mean, [n, d]."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + 1.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[50_000, 1_000_000], help="rows")
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--anchors", type=int, default=300)
    parser.add_argument("--shard", type=int, default=8_192, help="rows of a file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where shards are put, and removed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
