"""Shared by the trainings of local encoders: the learning rate's cycle, curves, when to stop, bags of tokens.

A bag is what an embedding has to tell of a text as a whole, in whatever order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from relrep_exp.errors import UserError, user_error
from relrep_exp.training.device import Training
from relrep_exp.training.fit import CurvesModule

_CLIP = 1.0
_ROWS = 4096  # of which the counts are made at once


def one_cycle(optimizer: torch.optim.Optimizer, lr: float, steps: int) -> Any:
    """Let the learning rate rise to `lr` and fall again over all steps, as Lightning takes it."""
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    return [optimizer], [{"scheduler": cycle, "interval": "step"}]


class TextTraining(CurvesModule):
    """A training of several named losses, whose curves are kept with the weights.

    Args:
        name: of the model, for messages.
        losses: their names.
        lr: the highest learning rate of the cycle.
        weight_decay: of AdamW.
        steps: length of the learning rate's cycle.
        training: who is told the losses.
    """

    def __init__(
        self,
        name: str,
        losses: Sequence[str],
        lr: float,
        weight_decay: float,
        steps: int,
        training: Training,
    ):
        super().__init__(losses, training.on_epoch, lr)
        self.model_name, self.weight_decay, self.steps = name, weight_decay, steps

    def configure_optimizers(self) -> Any:
        """AdamW, one cycle of the learning rate over all steps."""
        optimizer = torch.optim.AdamW(self.parameters(), self.lr, weight_decay=self.weight_decay, fused=True)
        return one_cycle(optimizer, self.lr, self.steps)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Clip: the first steps of a deep stack may jump."""
        nn.utils.clip_grad_norm_(self.parameters(), _CLIP)

    def diverged(self, names: str) -> UserError:
        """Tell of losses that are not finite."""
        what = f"the {self.model_name} diverged in epoch {self.current_epoch}: {names}"
        return user_error(what, f"lower its lr (now {self.lr:g})")


def rarity(tokens: Tensor, vocabulary: int, special: Sequence[int]) -> Tensor:
    """log(N / texts that have the token), [V]; 0 for special tokens and for those that no text has.

    Args:
        tokens: N texts, int64 [N, T].
        vocabulary: V.
        special: tokens that say nothing of a text, such as padding.
    """
    texts = torch.zeros(vocabulary)
    for part in tokens.split(_ROWS):
        texts += torch.zeros(len(part), vocabulary).scatter_(1, part, 1.0).sum(0)
    found = (len(tokens) / texts).log().masked_fill(texts == 0, 0.0)
    found[list(special)] = 0.0
    return found


def bags(tokens: Tensor, weights: Tensor) -> Tensor:
    """Weigh the tokens [N, T] that each text has, each once, by weight [V] -> [N, V]; rows sum to one.

    A row is zero if all of its tokens weigh nothing.
    """
    present = torch.zeros(len(tokens), len(weights), device=tokens.device).scatter_(1, tokens, 1.0)
    weighed = present * weights
    return weighed / weighed.sum(1, keepdim=True).clamp_min(1e-6)
