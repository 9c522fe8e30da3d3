"""What the trainings of all local text models have in common: the optimizer, the curves, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from relrep_exp.errors import UserError, user_error
from relrep_exp.training.device import Training
from relrep_exp.training.fit import CurvesModule

_CLIP = 1.0


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
        super().__init__(losses, training.on_epoch)
        self.model_name, self.lr, self.weight_decay, self.steps = name, lr, weight_decay, steps

    def configure_optimizers(self) -> Any:
        """AdamW, one cycle of the learning rate over all steps."""
        optimizer = torch.optim.AdamW(self.parameters(), self.lr, weight_decay=self.weight_decay, fused=True)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=self.steps)
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Clip: the first steps of a deep stack may jump."""
        nn.utils.clip_grad_norm_(self.parameters(), _CLIP)

    def diverged(self, names: str) -> UserError:
        """What is told of losses that are not finite."""
        what = f"the {self.model_name} diverged in epoch {self.current_epoch}: {names}"
        return user_error(what, f"lower its lr (now {self.lr:g})")
