"""How fast translations are estimated and applied, beside latentis where it is installed, in the same run.

python scripts/bench/bench_alignment.py                       # N = 50,000, d = 768, 300 anchors, float32
taskset -c 0 python scripts/bench/bench_alignment.py --threads 1 --repeats 3

Both sides get the same tensors, by turns; the table has medians. latentis comes with the extra `bench`.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import torch
from benchmarking import by_turns, refused
from torch import Tensor

from relrep_exp.alignment.anchors import Space, choose_anchors, get_anchor_strategy
from relrep_exp.alignment.similarity import bind, get_similarity
from relrep_exp.alignment.translation import translation
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.errors import UserError, tell

Work = Callable[[], Any]


def main() -> int:
    """Print the table."""
    args = arguments()
    if problems := list(refused(args)):
        return tell(UserError(problems))
    if args.threads:
        torch.set_num_threads(args.threads)
    x, y, few = data(args)
    theirs = latentis_side(x, y, few)
    print(f"N={args.n} d={args.dim} anchors={args.anchors} float32, {torch.get_num_threads()} threads")
    if not theirs:
        print('latentis is not installed (pip install "relrep_exp[bench]"): our side alone')
    print(f"{'median of ' + str(args.repeats):34s}{'ours':>12s}{'latentis':>12s}{'ratio':>8s}")
    for name, ours in our_side(x, y, few).items():
        print_line(name, ours, theirs.get(name), args.repeats)
    print_against_gemm(x, y, args.repeats)
    return 0


def print_line(name: str, ours: Work, theirs: Work | None, repeats: int) -> None:
    """One operation, both sides by turns."""
    sides = [ours] if theirs is None else [ours, theirs]
    medians = by_turns(sides, repeats)
    told = "".join(f"{1e3 * seconds:9.1f} ms" for seconds in medians)
    print(f"{name:34s}{told}" + (f"{medians[1] / medians[0]:7.2f}x" if theirs else ""), flush=True)


def print_against_gemm(x: Tensor, y: Tensor, repeats: int) -> None:
    """A transform beside the one product of its shape that cannot be avoided."""
    for scaling in ("standard", "l2"):
        moved = translation("ortho", x[:2000], y[:2000], scaling)  # type: ignore[arg-type]  # both exist
        matrix = moved.folded()[0].float()
        ours, gemm = by_turns([lambda moved=moved: moved(x), lambda matrix=matrix: x @ matrix], repeats)  # type: ignore[misc]  # bound now
        name = f"transform, {scaling}; one GEMM"
        print(f"{name:34s}{1e3 * ours:9.1f} ms{1e3 * gemm:9.1f} ms   {ours / gemm:.2f} of one GEMM")


def our_side(x: Tensor, y: Tensor, few: Tensor) -> dict[str, Work]:
    """What is timed, by name."""
    d = x.shape[1]
    bare = Whitening(torch.zeros(d), torch.eye(d), 1.0, d, len(x))  # cosine reads none of it
    project = bind(get_similarity("cosine"), x[few], bare)
    random = get_anchor_strategy("random")
    return {
        "fit linear": lambda: translation("linear", x, y),
        "fit l_ortho": lambda: translation("l_ortho", x, y),
        f"fit ortho, {len(few)} anchors": lambda: translation("ortho", x[few], y[few]),
        f"cosine projection on {len(few)}": lambda: project(x),
        f"choose {len(few)} random anchors": lambda: choose_anchors(
            random, {"a": Space(x), "b": Space(y)}, len(few), support=5000, seed=0
        ),
    }


def latentis_side(x: Tensor, y: Tensor, few: Tensor) -> dict[str, Work]:
    """The same by latentis; nothing where it is not installed."""
    if importlib.util.find_spec("latentis") is None:
        return {}
    from latentis.transform.base import StandardScaling
    from latentis.transform.projection import cosine_proj
    from latentis.transform.translate import MatrixAligner, Procrustes, Translator
    from latentis.transform.translate import functional as maps

    def estimator(state: Callable[..., Any]) -> Any:
        aligner = MatrixAligner(name="aligner", align_fn_state=state)
        return Translator(aligner=aligner, x_transform=StandardScaling(), y_transform=StandardScaling())

    anchors = x[few]
    return {
        "fit linear": lambda: estimator(maps.lstsq_align_state).fit(x, y),
        "fit l_ortho": lambda: estimator(maps.lstsq_ortho_align_state).fit(x, y),
        f"fit ortho, {len(few)} anchors": lambda: Procrustes().fit(x[few], y[few]),
        f"cosine projection on {len(few)}": lambda: cosine_proj(x, anchors=anchors),
    }


def data(args: argparse.Namespace) -> tuple[Tensor, Tensor, Tensor]:
    """Two noisy linear images of one latent cloud, and the rows of some anchors."""
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(args.n, args.dim, generator=generator)
    x, y = (
        latent @ (torch.randn(args.dim, args.dim, generator=generator) / args.dim**0.5)
        + args.noise * torch.randn(args.n, args.dim, generator=generator)
        for _ in range(2)
    )
    return x, y, torch.randperm(args.n, generator=generator)[: args.anchors]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, default=50_000, help="parallel samples")
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--anchors", type=int, default=300)
    parser.add_argument("--noise", type=float, default=0.5, help="its standard deviation; the signal's is 1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
