"""What ranks by cosine cost beside the cosines alone, by turns, and what memory they take.

python scripts/bench/bench_ranks.py                                  # N = 10,000, 64, 300 and 768 numbers
taskset -c 0 python scripts/bench/bench_ranks.py --threads 1
python scripts/bench/bench_ranks.py --n 50000 --dims 300 --repeats 1  # and the memory of that

The cosines alone are float32 products of unit rows in blocks, nothing done with them.
"""

from __future__ import annotations

import argparse
import sys

import torch
import torch.nn.functional as F
from benchmarking import Peak, by_turns, refused
from torch import Tensor

from relrep_exp.alignment.metrics import neighbourhood_overlap, retrieve
from relrep_exp.errors import UserError, tell

BLOCK = 2**23


def main() -> int:
    """Print the table."""
    args = arguments()
    if problems := list(refused(args)):
        return tell(UserError(problems))
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"N={args.n} float32, {torch.get_num_threads()} threads, seconds, median of {args.repeats}")
    print(f"{'dimension, spaces':28s}{'cosines':>9s}{'ranks':>9s}{'ratio':>7s}{'overlap':>9s}{'MiB':>7s}")
    for dim in args.dims:
        x = torch.randn(args.n, dim, generator=torch.Generator().manual_seed(0))
        unrelated = torch.randn(args.n, dim, generator=torch.Generator().manual_seed(1))
        shift = 30.0 * F.normalize(unrelated[:1], dim=1) * dim**0.5
        for name, one, other in (
            ("equal", x, x.clone()),
            ("unrelated", x, unrelated),
            ("equal, mean cosine .999", x + shift, x + shift),
            ("unrelated, mean cosine .999", x + shift, unrelated + shift),
        ):
            print_line(f"{dim:4d} {name}", one, other, args.repeats)
    return 0


def print_line(name: str, one: Tensor, other: Tensor, repeats: int) -> None:
    """Time one pair of spaces."""
    alone, ranks = by_turns([lambda: cosines(one, other), lambda: retrieve(one, other)], repeats)
    [overlap] = by_turns([lambda: neighbourhood_overlap(one, other)], 1) if repeats > 1 else [float("nan")]
    with Peak() as peak:
        retrieve(one, other)
    told = f"{alone:9.2f}{ranks:9.2f}{ranks / alone:7.2f}{overlap:9.2f}{peak.anonymous:7.0f}"
    print(f"{name:28s}{told}", flush=True)


def cosines(one: Tensor, other: Tensor) -> None:
    """Multiply all unit rows of two spaces [N, k], block by block."""
    q, c = F.normalize(one, dim=1), F.normalize(other, dim=1)
    for rows in q.split(max(1, BLOCK // len(c))):
        rows @ c.T


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 300, 768])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
