"""Numbers that depend neither on what a program has set for all of torch, nor on half precision's reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor


@contextmanager
def as_shipped() -> Iterator[None]:
    """Compute a block, or each call of a function that this decorates, under the globals torch comes with.

    That is float32 and the CPU by default, no autocast, no inference mode, float32 products in float32. What
    was set before is set again afterwards. Gradients are recorded if they were, and only then.
    """
    with ExitStack() as back:
        records = torch.is_grad_enabled()
        if torch.is_inference_mode_enabled():
            back.enter_context(torch.inference_mode(False))  # which turns gradients on
        back.enter_context(torch.set_grad_enabled(records))  # and Lightning leaves them on
        if (dtype := torch.get_default_dtype()) != torch.float32:
            back.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)
        if torch.get_default_device().type != "cpu":
            back.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                back.enter_context(torch.autocast(kind, enabled=False))
        if (precision := torch.get_float32_matmul_precision()) != "highest":
            back.callback(torch.set_float32_matmul_precision, precision)
            torch.set_float32_matmul_precision("highest")
        yield


def wide(x: Tensor) -> Tensor:
    """Take embeddings as float32 or wider: what half precision holds is computed with in float32.

    Squares of float16 end at 65,504, and bfloat16 has three digits. What is wide already is returned itself,
    but for a copy of what inference mode made, which no gradient could be taken through.
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        return x.float()
    return x.clone() if x.is_inference() else x
