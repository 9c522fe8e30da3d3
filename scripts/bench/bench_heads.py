"""How fast classifier heads train: one by one with a DataLoader, and all side by side as a bank.

python scripts/bench/bench_heads.py                   # the paper's sizes, some steps, scaled by their number
python scripts/bench/bench_heads.py --whole --heads 4 # whole fits
python scripts/bench/bench_heads.py --over-batch      # `mlp_paper`

Both sides run in turn, each several times; the best counts. One by one is a literal nn.Sequential with a
DataLoader over a TensorDataset, torch.optim.Adam and a plain loop. The bank is a fit as relrep_exp does it.
"""

from __future__ import annotations

import argparse
import sys

import torch
from benchmarking import gemm_peak, print_operations, refused, timed
from literal import train_head
from torch import Tensor

from relrep_exp.config.schema import HeadConfig
from relrep_exp.errors import UserError, tell
from relrep_exp.tasks.decoders.head_training import LANES, STEPS, HeadTraining, fit_heads
from relrep_exp.tasks.decoders.heads import HeadBank
from relrep_exp.training.device import Training
from relrep_exp.training.seeding import generator


def main() -> int:
    """Print the table and the profile."""
    args = arguments()
    if problems := list(refused(args)):
        return tell(UserError(problems))
    if args.threads:
        torch.set_num_threads(args.threads)
    x, y = synthetic(args)
    peak = gemm_peak(args.device)
    plain, bank = step_seconds(args, x, y)
    print_table(args, plain, bank, peak)
    print_profile(args, x, y)
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--heads", type=int, default=16, help="heads of the bank")
    parser.add_argument("--n", type=int, default=50000, help="training samples")
    parser.add_argument("--width", type=int, default=300, help="features, and hidden units")
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--over-batch", action="store_true", help="mlp_paper")
    parser.add_argument("--steps", type=int, default=900, help="of each side that are timed, about")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="time whole fits, once")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu"
    )
    return parser.parse_args()


def settings(args: argparse.Namespace, epochs: int) -> HeadConfig:
    """The package's defaults where nothing is asked for."""
    name = "mlp_paper" if args.over_batch else "mlp"
    return HeadConfig(name=name, epochs=epochs, batch=args.batch)


def synthetic(args: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Features [H, N, k] of planted classes [N]."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(args.n) % args.classes
    centres = torch.randn(args.classes, args.width, generator=generator)
    x = torch.empty(args.heads, args.n, args.width)
    for head in x:
        head.copy_(centres[y] + torch.randn(args.n, args.width, generator=generator))
    return x.to(args.device), y.to(args.device)


def steps_in_all(args: argparse.Namespace) -> int:
    """Steps of a whole fit."""
    return args.epochs * -(-args.n // args.batch)


def step_seconds(args: argparse.Namespace, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Seconds per step of one head alone, and of the whole bank; in turn, the best of each.

    The bank's are those of fits on fewer samples, set-up and all, in as many epochs.
    """
    n = args.n if args.whole else min(args.n, args.steps * args.batch // args.epochs)
    steps = args.epochs * -(-n // args.batch)
    plain, bank = [], []
    for _ in range(1 if args.whole else args.repeats):
        plain.append(one_by_one(args, x[0], y, steps) / steps)
        bank.append(bank_seconds(args, x[:, :n], y[:n]) / steps)
    return min(plain), min(bank)


def one_by_one(args: argparse.Namespace, x: Tensor, y: Tensor, steps: int) -> float:
    """Seconds of a literal training of one head."""
    how = settings(args, args.epochs)
    return timed(lambda: train_head(x, y, args.classes, steps, how), args.device)


def bank_seconds(args: argparse.Namespace, x: Tensor, y: Tensor) -> float:
    """Seconds of the bank's fit."""
    how, labels, seeds = settings(args, args.epochs), [y] * args.heads, range(args.heads)
    return timed(lambda: fit_heads(list(x), labels, args.classes, seeds, how, Training()), args.device)


def gflop(args: argparse.Namespace) -> float:
    """Products of a step of the bank, in 10^9: forward, and twice backward."""
    return 6e-9 * args.heads * args.batch * args.width * (args.width + args.classes)


def print_table(args: argparse.Namespace, plain: float, bank: float, peak: float) -> None:
    """Seconds, ratio and share of the peak."""
    steps, threads = steps_in_all(args), torch.get_num_threads()
    name = "mlp_paper" if args.over_batch else "mlp"
    lanes = 1 if args.device == "cuda" else min(threads, LANES, args.heads)
    print(
        f"{name}: {args.heads} heads, N={args.n} k={args.width} C={args.classes} batch={args.batch}, "
        f"float32 on {args.device}, {threads} threads, {lanes} lanes"
    )
    some = f"{args.steps} steps of each timed, the bank's on as many samples, scaled by their number"
    how = "whole fits, one of a head alone" if args.whole else some
    print(f"{'steps of a fit':32s}{steps:12d}       {args.epochs} epochs; {how}")
    print(
        f"{'products of a step, counted':32s}{gflop(args):12.3f} GFLOP {gflop(args) * steps:10.0f} in a fit"
    )
    print(f"{'GEMM peak, 2048^3, measured':32s}{peak / 1e9:12.1f} GFLOP/s")
    print(f"{'':32s}{'a step':>12s}   {'a fit of all heads':>20s}   GFLOP/s  of peak")
    for label, seconds in (("one by one, DataLoader", plain * args.heads), ("bank", bank)):
        rate = gflop(args) * 1e9 / seconds
        times = f"{seconds * 1e3:9.2f} ms   {seconds * steps:18.1f} s"
        print(f"{label:32s}{times}   {rate / 1e9:7.1f}   {rate / peak:6.1%}")
    print(f"{'ratio':32s}{plain * args.heads / bank:12.2f}")


def print_profile(args: argparse.Namespace, x: Tensor, y: Tensor) -> None:
    """The operations of a step of all heads in one thread, by their own time."""
    torch.set_num_threads(1)
    generators = [generator(seed, "head", args.width, args.classes) for seed in range(args.heads)]
    bank = HeadBank(x[0], args.classes, generators, settings(args, args.epochs))
    training = HeadTraining(bank, x, [y] * args.heads, generators)
    state = training.configure_optimizers().state
    numbers = torch.randint(args.n, (11, args.heads, STEPS * args.batch), device=args.device)
    lane, draws = training.lanes[0], torch.empty(args.heads, STEPS * args.batch, args.width)

    def steps(some: Tensor) -> None:
        for stretch in some:
            for one, g in zip(draws, generators, strict=True):
                one.uniform_(generator=g)
            lane.train(stretch, draws, state)

    steps(numbers[:1])
    print("all heads in one thread")
    print_operations(lambda: steps(numbers[1:]), 10 * STEPS, args.device)


if __name__ == "__main__":
    sys.exit(main())
