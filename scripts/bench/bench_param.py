"""How fast PARAM trains: work counted, time measured, share of the machine's GEMM peak in the same run.

python scripts/bench/bench_param.py --n 1437 --dims 64 80 96 --support 1437 --anchors 64 --batch 256
python scripts/bench/bench_param.py --n 50000 --dims 384 1280 768 --support 5000 --anchors 300 --batch 1024

The equations as printed (alignment/param/losses.py) are timed beside it. --precisions float32 bf16 compares
them in one run. With --profile the operations of a step are listed for each precision.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from benchmarking import gemm_peak, print_operations, refused, timed
from literal import train_param

from relrep_exp.alignment.anchors import Space, WhitenedSpace, draw_support
from relrep_exp.alignment.param.fast import Precision, Products
from relrep_exp.alignment.param.learn import Param, ParamModule, ParamSettings
from relrep_exp.errors import Problem, UserError, tell
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit


def main() -> int:
    """Print the table."""
    args = arguments()
    if problems := [*refused(args), *unfit(args)]:
        return tell(UserError(problems))
    if args.threads:
        torch.set_num_threads(args.threads)
    spaces = synthetic_spaces(args)
    gflop = step_gflop(args.dims, args.support, args.anchors, min(args.batch, args.n))
    seconds = step_seconds(args, spaces)
    sizes = f"N={args.n} dims={args.dims} K={args.support} m={args.anchors} batch={args.batch}"
    print(f"{sizes} on {args.device}, {torch.get_num_threads()} threads")
    print(f"{'work per step, counted':32s}{gflop:12.3f} GFLOP")
    for precision in args.precisions:
        print_steps(args, seconds, precision, gflop * 1e9)
    literal = seconds["literal"]
    print(f"{'step of the equations as printed':32s}{literal * 1e3:12.2f} ms")
    for precision in args.precisions:
        bare = seconds[precision]
        against = f"{literal / bare:.2f} times the equations', {seconds[args.precisions[0]] / bare:.2f} times"
        print(f"{'speed of ' + precision:32s}{'':12s}    {against} {args.precisions[0]}'s")
    if args.profile:
        print_profiles(args, spaces)
    return 0


def unfit(args: argparse.Namespace) -> Iterator[Problem]:
    """What does not go together."""
    if args.n < 2:
        yield Problem(f"--n {args.n}: statistics take two samples", "give more")
    if args.support > args.n:
        what = f"--support {args.support} is more than --n {args.n}"
        yield Problem(what, "give a smaller support, or more samples")


def step_gflop(dims: Sequence[int], support: int, anchors: int, batch: int, raw: bool = False) -> float:
    """Count the matrix products of a step, forward and backward, in 10^9 operations.

    P S_w and x_w A_w^T need a gradient on one side, and so does A_w A_w^T, as it is symmetric; the logits of
    symNCE need it on both. At the paper's size (d 384, 1,280 and 768, K 5,000, m 300, batch 1,024) a step is
    24.1 GFLOP: mixing 14.6, products 3.0, Gram matrices 0.9, symNCE 5.7.

    Args:
        dims: d of each training encoder.
        support: K.
        anchors: m.
        batch: B.
        raw: whether the similarity is another than WIP, which mixes and compares raw embeddings as well.
    """
    width, pairs = sum(dims) * (2 if raw else 1), len(dims) * (len(dims) - 1) // 2
    mixing, products = 4 * anchors * support * width, 4 * batch * anchors * width
    gram, nce = 4 * anchors**2 * sum(dims), 6 * batch**2 * anchors * pairs
    return (mixing + products + gram + nce) / 1e9


def print_steps(
    args: argparse.Namespace, seconds: dict[str, float], precision: Precision, flop: float
) -> None:
    """The lines on one precision, against the peak of the products that it is made of."""
    device, bare = torch.device(args.device), seconds[precision]
    rounded = Products(precision).emulated(device)
    low = precision == "bf16" and not rounded
    with Products(precision).on(device):
        peak = gemm_peak(args.device, torch.bfloat16 if low else torch.float32)
    how = " (rounded float32: this processor has no bfloat16 instructions)" if rounded else ""
    print(f"{precision}{how}")
    print(f"{'  GEMM peak, 2048^3, measured':32s}{peak / 1e9:12.1f} GFLOP/s")
    print(f"{'  step':32s}{bare * 1e3:12.2f} ms   {flop / bare / peak:6.1%} of peak")
    if precision == args.precisions[0]:
        lightning, steps = seconds["Lightning"], -(-args.n // args.batch) * 95
        over = f"{lightning / bare - 1:+6.1%} overhead"
        print(f"{'  step, driven by Lightning':32s}{lightning * 1e3:12.2f} ms   {over}")
        print(f"{'  a fit of 95 epochs':32s}{lightning * steps:12.1f} s    {steps} steps")


def print_profiles(args: argparse.Namespace, spaces: dict[str, WhitenedSpace]) -> None:
    """The operations of an epoch's steps in each precision, after one that warms up."""
    for precision in args.precisions:
        print(precision)
        epoch = partial(bare_loop, args, module_for(args, spaces, precision), 1)
        epoch()
        print_operations(epoch, len(batches_for(args)), args.device)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, default=1437, help="training samples")
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 80, 96], help="one per encoder")
    parser.add_argument("--support", type=int, default=1437, help="K")
    parser.add_argument("--anchors", type=int, default=64, help="m")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=200, help="steps timed, in whole epochs, one at least")
    parser.add_argument("--precisions", nargs="+", choices=["float32", "bf16", "tf32"], default=["float32"])
    parser.add_argument("--literal-steps", type=int, default=5, help="of the equations as printed, timed")
    parser.add_argument("--profile", action="store_true", help="list the operations of a step")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu"
    )
    return parser.parse_args()


def synthetic_spaces(args: argparse.Namespace) -> dict[str, WhitenedSpace]:
    """Random affine images of one latent cloud; what is in them does not change the time."""
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(args.n, 64, generator=generator)
    spaces = {}
    for number, d in enumerate(args.dims):
        x = latent @ torch.randn(64, d, generator=generator) + torch.randn(args.n, d, generator=generator)
        x = x.to(args.device)
        whitening = Space(x).whitening()
        spaces[str(number)] = WhitenedSpace(x, whitening)
    return spaces


def step_seconds(args: argparse.Namespace, spaces: dict[str, WhitenedSpace]) -> dict[str, float]:
    """Seconds per step of a bare loop in each precision, of the first under Lightning, and of the equations.

    In turn, three times, the best of each.
    """
    epochs = max(1, args.steps // len(batches_for(args)))
    ids = draw_support(args.n, args.support, 0).to(args.device)
    logits = torch.randn(args.anchors, len(ids), device=args.device)
    settings, literal = ParamSettings(batch=args.batch), list(spaces.values())
    train_param(literal, ids, logits, settings, 1)
    ways, in_all = dict[str, tuple[Callable[[], object], int]](), epochs * len(batches_for(args))
    for precision in args.precisions:
        ways[precision] = partial(bare_loop, args, module_for(args, spaces, precision), epochs), in_all
    module = module_for(args, spaces, args.precisions[0])
    ways["Lightning"] = partial(lightning_loop, args, module, epochs), in_all
    printed = partial(train_param, literal, ids, logits, settings, args.literal_steps)
    ways["literal"] = printed, args.literal_steps
    rounds = [{name: timed(way, args.device) / n for name, (way, n) in ways.items()} for _ in range(3)]
    return {name: min(one[name] for one in rounds) for name in ways}


def module_for(
    args: argparse.Namespace, spaces: dict[str, WhitenedSpace], precision: Precision
) -> ParamModule:
    """PARAM at its start."""
    ids = draw_support(args.n, args.support, 0)
    strategy = Param(ParamSettings(batch=args.batch), precision=precision)
    return ParamModule(spaces, ids, args.anchors, 0, strategy).to(args.device)


def batches_for(args: argparse.Namespace) -> EpochBatches:
    """The minibatches of a fit."""
    return EpochBatches(args.n, args.batch, [0], torch.device(args.device))


def bare_loop(args: argparse.Namespace, module: ParamModule, epochs: int) -> None:
    """The steps as plain PyTorch."""
    batches = batches_for(args)
    optimizer = module.configure_optimizers()
    with module.products.on(batches.device):
        for epoch in range(epochs):
            batches.set_epoch(epoch)
            for rows in batches:
                loss = module.training_step(rows, 0)["loss"]
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()


def lightning_loop(args: argparse.Namespace, module: ParamModule, epochs: int) -> None:
    """The same steps as a Lightning fit; the trainer's set-up is counted with them."""
    with module.products.on(torch.device(args.device)):
        fit(module, batches_for(args), epochs, Training())


if __name__ == "__main__":
    sys.exit(main())
