"""How fast the extraction engine is and what it holds in memory; nothing is downloaded.

texts   mixed lengths through a small BERT: the engine against the loop that one writes by hand
images  decoding and resizing in workers: what of the time is the model's
memory  peak of a process while it extracts, at two numbers of rows
small   what the engine costs where there is hardly any work, and what reading costs

python scripts/bench/bench_extract.py                     everything, some minutes on two cores
python scripts/bench/bench_extract.py --only texts --fraction 0.2
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from benchmarking import refused
from made_up import Cheap, Mlp, SmallBert, SmallConvNet, jpegs, mixed_texts
from torch import Tensor

from relrep_exp.encoders.batching import Batches, Job, Reader
from relrep_exp.encoders.embed import Extraction, extract
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.errors import UserError, tell
from relrep_exp.store.keys import content_key
from relrep_exp.store.shards import Parts, Plan

KEY = content_key({"bench": "extract"})
KINDS = ("texts", "images", "memory", "small")


def main() -> int:
    """Print the tables that are asked for."""
    args = arguments()
    if problems := list(refused(args, zero=("threads", "workers", "peak_of"))):
        return tell(UserError(problems))
    if args.peak_of:  # the child of `memory`
        print(*peaks(args.peak_of, args.batch))
        return 0
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"{args.device}, {torch.get_num_threads()} threads, batch {args.batch}")
    tables: dict[str, Callable[[argparse.Namespace], None]] = {
        "texts": texts,
        "images": images,
        "memory": memory,
        "small": small,
    }
    for kind in args.only:
        print(f"\n{kind}")
        tables[kind](args)
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--texts", type=int, default=500)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rows", type=int, nargs=2, default=[20_000, 80_000], help="two N for memory")
    parser.add_argument("--fraction", type=float, default=1.0, help="of all these numbers")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2, help="for images")
    parser.add_argument("--rounds", type=int, default=3, help="each side runs so often, alternating")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument("--peak-of", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.texts, args.images = (max(1, round(n * args.fraction)) for n in (args.texts, args.images))
    args.rows = [max(1, round(n * args.fraction)) for n in args.rows]
    return args


def run(encoder: Encoder, samples: Sequence[Any], how: Extraction) -> Tensor:
    """Embeddings [N, d] by the engine, in a store of their own."""
    with tempfile.TemporaryDirectory() as folder:
        return extract(KEY, "bench", samples, lambda: encoder, {}, Path(folder), how).x


@torch.inference_mode()
def plain_loop(encoder: Encoder, samples: Sequence[Any], batch: int, device: torch.device) -> Tensor:
    """The loop that one writes by hand: given order, padded to the longest of the batch; [N, d]."""
    encoder.to(device)
    batches = (samples[start : start + batch] for start in range(0, len(samples), batch))
    return torch.cat([encoder(to(encoder.prepare(batch), device)).cpu() for batch in batches])


def to(inputs: Any, device: torch.device) -> Any:
    """A tensor, or a mapping of tensors, on the device."""
    return inputs.to(device) if hasattr(inputs, "to") else {key: x.to(device) for key, x in inputs.items()}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall-clock seconds of a call, the device's queue emptied before and after, and what it gave."""
    synchronize()
    start = time.perf_counter()
    result = work()
    synchronize()
    return time.perf_counter() - start, result


def synchronize() -> None:
    """Wait for the device."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def texts(args: argparse.Namespace) -> None:
    """The engine against the plain loop, alternating."""
    device, encoder, samples = torch.device(args.device), SmallBert(), mixed_texts(args.texts)
    sizes = encoder.sizes(samples)
    how = Extraction(device, batch=args.batch)
    plain_loop(encoder, samples[: args.batch], args.batch, device)
    run(encoder, samples[: args.batch], how)
    engine, plain = [], []
    for _ in range(args.rounds):
        seconds, x = timed(lambda: run(encoder, samples, how))
        engine.append(seconds)
        seconds, y = timed(lambda: plain_loop(encoder, samples, args.batch, device))
        plain.append(seconds)
    n, longest = len(samples), [max(sizes[s : s + args.batch]) for s in range(0, len(sizes), args.batch)]
    print(f"  {n} texts, tokens: median {median(sizes):.0f}, mean {np.mean(sizes):.0f}, most {max(sizes)}")
    print(f"  padding of the plain loop: {args.batch * sum(longest) / sum(sizes):.2f} x its tokens")
    ratios = [b / a for a, b in zip(engine, plain, strict=True)]
    print(f"  {'plain loop':14s}{n / min(plain):10.1f} rows/s")
    print(f"  {'engine':14s}{n / min(engine):10.1f} rows/s")
    print(f"  {'ratio':14s}{median(ratios):10.2f} x, of {' '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print(f"  {'difference':14s}{(x - y).abs().max():10.1e} at most, of values up to {y.abs().max():.1f}")


def images(args: argparse.Namespace) -> None:
    """The model alone, preparing alone, and both under the engine; alternating, the best of each."""
    device, encoder, samples = torch.device(args.device), SmallConvNet(), jpegs(args.images)
    reader, batch, workers = Reader(encoder, samples), args.batch, args.workers
    todo = [Job(0, list(range(s, min(s + batch, len(samples))))) for s in range(0, len(samples), batch)]
    ready = [encoder.prepare(samples[job.rows[0] : job.rows[-1] + 1]) for job in todo[:1] + todo[-1:]]
    shapes = [ready[0]] * (len(todo) - 1) + [ready[1]]
    alone, both = Extraction(device, batch=batch), Extraction(device, batch=batch, workers=workers)
    sides: dict[str, Callable[[], object]] = {
        "model alone": lambda: model_alone(encoder, shapes, device),
        "preparing alone, 0 workers": lambda: list(map(reader.__getitem__, todo)),
        f"preparing alone, {workers} workers": lambda: sum(1 for _ in Batches(reader, todo, workers, False)),
        "engine, 0 workers": lambda: run(encoder, samples, alone),
        f"engine, {workers} workers": lambda: run(encoder, samples, both),
    }
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(args.rounds):
        for name, work in sides.items():
            best[name] = min(best[name], timed(work)[0])
    print(f"  {len(samples)} images of 500 x 375 to 224 x 224, ResNet-18")
    for name, seconds in best.items():
        busy = best["model alone"] / seconds
        share = f"   model busy {busy:4.0%}, data {1 - busy:4.0%}" if name.startswith("engine") else ""
        print(f"  {name:32s}{len(samples) / seconds:10.1f} images/s{share}")


@torch.inference_mode()
def model_alone(encoder: Encoder, batches: Sequence[Tensor], device: torch.device) -> None:
    """The encoder's work on batches that are ready."""
    encoder.to(device)
    for inputs in batches:
        encoder(inputs.to(device))


def memory(args: argparse.Namespace) -> None:
    """Peak resident memory of one child process per N."""
    print(f"  {'rows':>8s}{'embeddings':>14s}{'peak before':>14s}{'extracting':>14s}{'and read':>14s}")
    grown = []
    for n in args.rows:
        command = [sys.executable, __file__, "--peak-of", str(n), "--batch", str(args.batch)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        before, during, after = map(float, done.stdout.split())
        grown.append(during - before)
        print(f"  {n:8d}{n * 768 * 4 / 2**20:10.1f} MiB{before:10.1f} MiB{during:10.1f} MiB{after:10.1f} MiB")
    print(f"  what extracting adds: {grown[0]:.1f} and {grown[1]:.1f} MiB")


def peaks(n: int, batch: int) -> tuple[float, float, float]:
    """MiB at most so far: before the extraction, after it, and when all has been read."""
    from relrep_exp.encoders.predict import compute

    how, plan = Extraction(torch.device("cpu"), batch=batch), Plan(KEY, n, 4096)
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(Path(folder) / "embeddings" / f"{KEY}.parts", plan)
        before = peak()
        compute("cheap", range(n), Cheap(), how, parts, parts.resume())
        during = peak()
        extract(KEY, "cheap", range(n), Cheap, {}, Path(folder), how)
        return before, during, peak()


def peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def small(args: argparse.Namespace) -> None:
    """A 64-dim MLP on 1,797 digits, and reading 50,000 x 768."""
    digits = list(torch.rand(1797, 64, generator=torch.Generator().manual_seed(0)))
    device, encoder = torch.device(args.device), Mlp()
    how = Extraction(device, batch=args.batch)
    run(encoder, digits, how)
    engine = [timed(lambda: run(encoder, digits, how))[0] for _ in range(5)]
    plain = [timed(lambda: plain_loop(encoder, digits, args.batch, device))[0] for _ in range(5)]
    print(f"  plain loop {min(plain) * 1e3:.1f} ms, engine {min(engine) * 1e3:.1f} ms")
    rows = range(round(50_000 * args.fraction))
    with tempfile.TemporaryDirectory() as folder:
        extract(KEY, "cheap", rows, Cheap, {}, Path(folder), how)
        seconds, _ = timed(lambda: extract(KEY, "cheap", rows, Cheap, {}, Path(folder), how))
    print(f"  reading {len(rows)} x 768: {seconds:.2f} s")


if __name__ == "__main__":
    sys.exit(main())
