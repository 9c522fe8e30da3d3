"""How fast PARAM trains: work counted, time measured, share of the machine's GEMM peak in the same run.

python scripts/bench_param.py --n 1437 --dims 64 80 96 --support 1437 --anchors 64 --batch 256
python scripts/bench_param.py --n 50000 --dims 384 1280 768 --support 5000 --anchors 300 --batch 1024
python scripts/bench_param.py --n 50000 --dims 384 1280 768 --support 5000 --anchors 300 --devices 2

The equations as printed (literal.py) are timed beside it. --precisions float32 bf16 compares them in one run.
With --profile the operations of a step are listed for each precision.
With --devices N the fit is also shared by N processes, on the CPU over gloo, with the same threads in all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from benchmarking import gemm_peak, print_operations, refused, timed
from literal import LiteralParam

from relrep_exp.alignment.anchors import Space, WhitenedSpace, draw_support
from relrep_exp.alignment.param.learn import Param, ParamSettings
from relrep_exp.alignment.param.module import ParamModule
from relrep_exp.alignment.param.work import StepWork
from relrep_exp.alignment.products import Precision, Products
from relrep_exp.errors import Problem, UserError, tell
from relrep_exp.training.batches import EpochBatches, Training
from relrep_exp.training.fit import fit


def main() -> int:
    """Print the table."""
    args = arguments()
    if problems := [*refused(args), *unfit(args)]:
        return tell(UserError(problems))
    if args.threads:
        torch.set_num_threads(args.threads)
    spaces = synthetic_spaces(args)
    work = module_for(args, spaces, "float32").step_work()
    seconds = step_seconds(args, spaces)
    sizes = f"N={args.n} dims={args.dims} K={args.support} m={args.anchors} batch={args.batch}"
    print(f"{sizes} on {args.device}, {torch.get_num_threads()} threads")
    print(f"{'work per step, counted':32s}{work.gflop:12.3f} GFLOP")
    for precision in args.precisions:
        print_steps(args, seconds, precision, work.gflop * 1e9)
    literal = seconds["literal"]
    print(f"{'step of the equations as printed':32s}{literal * 1e3:12.2f} ms")
    for precision in args.precisions:
        bare = seconds[precision]
        against = f"{literal / bare:.2f} times the equations', {seconds[args.precisions[0]] / bare:.2f} times"
        print(f"{'speed of ' + precision:32s}{'':12s}    {against} {args.precisions[0]}'s")
    if args.profile:
        print_profiles(args, spaces)
    if args.devices > 1:
        print_shared(args, spaces, work, seconds["Lightning"])
    return 0


def unfit(args: argparse.Namespace) -> Iterator[Problem]:
    """What does not go together."""
    if args.n < 2:
        yield Problem(f"--n {args.n}: statistics take two samples", "give more")
    if args.support > args.n:
        what = f"--support {args.support} is more than --n {args.n}"
        yield Problem(what, "give a smaller support, or more samples")


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


def print_shared(
    args: argparse.Namespace, spaces: dict[str, WhitenedSpace], work: StepWork, alone: float
) -> None:
    """The lines on a fit that several processes share."""
    each = work.gflop_of_each(args.devices)
    print(
        f"{'work of each of ' + str(args.devices):32s}{each:12.3f} GFLOP  {each / work.gflop:6.1%} of one's"
    )
    for name, megabytes in work.megabytes().items():
        print(f"{'added up: ' + name:32s}{megabytes:12.3f} MB per step")
    shared = shared_step_seconds(args, spaces)
    print(f"{'step, shared':32s}{shared * 1e3:12.2f} ms   {alone / shared:6.2f} times as fast as one")


def print_profiles(args: argparse.Namespace, spaces: dict[str, WhitenedSpace]) -> None:
    """The operations of an epoch's steps in each precision, after one that warms up; nothing is captured."""
    for precision in args.precisions:
        print(precision)
        epoch = partial(bare_loop, args, module_for(args, spaces, precision), 1)
        epoch()
        print_operations(epoch, len(batches_for(args)), args.device)


def shared_step_seconds(args: argparse.Namespace, spaces: dict[str, WhitenedSpace]) -> float:
    """Seconds per step of a shared fit: of twice as many epochs, less those of the epochs once; no set-up."""
    epochs = max(1, args.steps // len(batches_for(args)))
    training = Training(devices=args.devices, share_gflop=0.0)

    def fit_for(times: int) -> float:
        settings = ParamSettings(batch=args.batch, epochs=times * epochs)
        ids = draw_support(args.n, args.support, 0)
        strategy = replace(Param(settings), training=training)
        return timed(lambda: strategy(spaces, ids, args.anchors, 0), args.device)

    fit_for(1)  # starts what processes are forked from
    once, twice = (min(fit_for(times) for _ in range(2)) for times in (1, 2))
    return (twice - once) / (epochs * len(batches_for(args)))


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
    parser.add_argument("--devices", type=int, default=1, help="processes that share a fit")
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
        spaces[str(number)] = WhitenedSpace(x, whitening, whitening(x))
    return spaces


def step_seconds(args: argparse.Namespace, spaces: dict[str, WhitenedSpace]) -> dict[str, float]:
    """Seconds per step of a bare loop in each precision, of the first under Lightning, and of the equations.

    In turn, three times, the best of each. On a GPU only a fit under Lightning is captured, so each is one.
    """
    epochs = max(1, args.steps // len(batches_for(args)))
    ids = draw_support(args.n, args.support, 0).to(args.device)
    logits = torch.randn(args.anchors, len(ids), device=args.device)
    raw = [space.x for space in spaces.values()]
    means, roots = ([getattr(s.whitening, part) for s in spaces.values()] for part in ("mean", "matrix"))
    literal = LiteralParam(raw, means, roots, ids, logits, ParamSettings(batch=args.batch))
    literal.train(1)
    ways, in_all = dict[str, tuple[Callable[[], object], int]](), epochs * len(batches_for(args))
    for precision in args.precisions:
        loop = lightning_loop if args.device == "cuda" else bare_loop
        ways[precision] = partial(loop, args, module_for(args, spaces, precision), epochs), in_all
    module = module_for(args, spaces, args.precisions[0])
    ways["Lightning"] = partial(lightning_loop, args, module, epochs), in_all
    ways["literal"] = partial(literal.train, args.literal_steps), args.literal_steps
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
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        for rows in batches:
            loss = module.training_step(rows, 0)
            assert loss is not None, "only a trainer captures steps"
            optimizer.zero_grad()
            module.backward(loss)
            optimizer.step()


def lightning_loop(args: argparse.Namespace, module: ParamModule, epochs: int) -> None:
    """The same steps as a Lightning fit; the trainer's set-up is counted with them."""
    fit(module, batches_for(args), epochs, Training())


if __name__ == "__main__":
    sys.exit(main())
