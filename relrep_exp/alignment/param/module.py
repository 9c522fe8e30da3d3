"""PARAM's objective as a module that Lightning trains (Eq. 3, Appendices A and D)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from relrep_exp.alignment.anchors import WhitenedSpace
from relrep_exp.alignment.param import losses_of_all as losses
from relrep_exp.alignment.param.captured import CapturedStep, Record, record_cuda
from relrep_exp.alignment.param.gradients import compare, mix
from relrep_exp.alignment.param.learn import LOSSES, Param
from relrep_exp.alignment.param.start import normal_logits, with_consensus
from relrep_exp.alignment.param.work import StepWork
from relrep_exp.alignment.products import Products
from relrep_exp.alignment.similarity import Similarity, get_similarity
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.errors import user_error
from relrep_exp.training.share import Share
from relrep_exp.training.together import SharedModule


@dataclass(frozen=True)
class Samples:
    """The training encoders' embeddings as the objective reads them, side by side; they stay on the device.

    Attributes:
        dims: d of each encoder.
        widths: the same as numbers on the device, [E].
        whitened: whitened coordinates, [N, sum d], as operands of products.
        squares: |x_w|^2, [E, N].
        support: what P mixes, likewise: whitened embeddings of the support, [K, sum d]; under a similarity
            that is not WIP centred ones beside them, [K, 2 sum d], as P X = P (X - mu) + mu.
        points: all samples as a similarity that is not WIP compares them, [N, d_i] each; none for WIP.
        whitenings: the encoders' statistics, where there are points.
    """

    dims: list[int]
    widths: Tensor
    whitened: Tensor
    squares: Tensor
    support: Tensor
    points: list[Tensor]
    whitenings: list[Whitening]

    @classmethod
    def of(
        cls, spaces: Sequence[WhitenedSpace], ids: Tensor, similarity: Similarity, products: Products
    ) -> Samples:
        """Those of some encoders, with the support `ids` [K]."""
        whitened = torch.cat([space.whitened for space in spaces], dim=1)
        ids = ids.to(whitened.device)
        support, points, whitenings = [whitened[ids]], [], []
        if similarity != get_similarity("wip"):
            support += [space.x[ids] - space.whitening.mean for space in spaces]
            points = [similarity.points(space.x, space.whitening) for space in spaces]
            whitenings = [space.whitening for space in spaces]
        return cls(
            dims=[space.whitened.shape[1] for space in spaces],
            widths=whitened.new_tensor([space.whitened.shape[1] for space in spaces]),
            whitened=products.operand(whitened),
            squares=torch.stack([space.whitened.square().sum(1) for space in spaces]),
            support=products.operand(torch.cat(support, dim=1)),
            points=points,
            whitenings=whitenings,
        )

    def to(self, device: torch.device) -> Samples:
        """The same on a device."""
        return Samples(
            self.dims,
            self.widths.to(device),
            self.whitened.to(device),
            self.squares.to(device),
            self.support.to(device),
            [points.to(device) for points in self.points],
            [whitening.to(device) for whitening in self.whitenings],
        )


class ParamModule(SharedModule):
    """P as unconstrained logits, and the objective of Eq. 3 over all training encoders at once.

    Several processes may share a step. Each mixes its rows of P and gathers all anchors, takes its rows of
    the batch and the Gram matrices of all anchors, and gives a share of the loss (`alignment/share.py`), the
    Gram terms divided by the number of processes. Its gradient with respect to its own logits is one part of
    the sum that is the gradient of the batch's loss. As DDP averages gradients, the loss is multiplied by
    their number.
    """

    def __init__(self, spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int, strategy: Param):
        super().__init__(LOSSES, strategy.training.on_epoch)
        self.settings, self.similarity = strategy.settings, strategy.similarity
        self.products = Products(strategy.precision)
        self.samples = Samples.of(list(spaces.values()), ids, self.similarity, self.products)
        start = normal_logits(m, len(ids), self.settings.init_std, seed).to(self.samples.squares)
        if self.settings.start == "consensus":
            support = {name: space.whitened[ids.to(start.device)] for name, space in spaces.items()}
            start = with_consensus(start, support, self.settings.temperature)
        self.logits = torch.nn.Parameter(start)
        self._captured: CapturedStep | None = None

    def setup(self, stage: str) -> None:
        """Learn which share is this process's, have the data on its device, and parameters of its own.

        On a GPU of its own the step is captured under WIP; other similarities may wait for the device.
        """
        self.share = Share(self.trainer.global_rank, self.trainer.world_size)
        self.samples = self.samples.to(self.device)
        if self.logits.is_shared():
            self.logits = torch.nn.Parameter(self.logits.detach().clone())
        if self.device.type == "cuda" and self.share.size == 1 and not self.samples.points:
            self.capture(record_cuda)

    def capture(self, record: Record) -> None:
        """From now on, train by a step that is recorded and replayed; Lightning leaves it to the module."""
        self.automatic_optimization = False
        self._captured = CapturedStep(self.optimise, record)

    def unload(self) -> None:
        """Move the data to the CPU."""
        self.samples = self.samples.to(torch.device("cpu"))

    def mixture(self) -> Tensor:
        """P, row-stochastic, [m, K]."""
        return losses.mixture(self.logits, self.settings.temperature)

    def step_work(self) -> StepWork:
        """What a step costs."""
        m, support = self.logits.shape
        batch = min(self.settings.batch, len(self.samples.whitened))
        raw, item = bool(self.samples.points), self.logits.element_size()
        return StepWork(self.samples.dims, support, m, batch, raw, item)

    def on_train_start(self) -> None:
        """Be captured as here, wherever a checkpoint was written from which the optimiser was restored."""
        captured = self._captured is not None and self.logits.is_cuda
        for group in self.trainer.optimizers[0].param_groups:
            group["capturable"] = captured

    def teardown(self, stage: str) -> None:
        """Give back the memory of what was recorded."""
        self._captured = None

    def training_step(self, rows: Tensor, _: int) -> Tensor | None:
        """A step on the samples `rows` [1, B]: the loss to be optimised, or None where that is done here."""
        with self.products.on(rows.device):
            if self._captured is None:
                return self.loss(rows[0])
            self._captured(rows[0])
            return None

    def backward(self, loss: Tensor) -> None:
        """The products of the backward pass are of the same precision."""
        with self.products.on(loss.device):
            loss.backward()

    def loss(self, rows: Tensor) -> Tensor:
        """Eq. 3 on the samples `rows` [B], as DDP wants it: this process's share times their number."""
        terms = self.objective(rows)
        self.losses.add(list(terms.values()))
        weights = self.settings.weights()
        return self.share.size * torch.stack([weights[name] * loss for name, loss in terms.items()]).sum()

    def optimise(self, rows: Tensor) -> None:
        """One step of the optimiser on the samples `rows` [B], without waiting for the device."""
        (self.logits.grad,) = torch.autograd.grad(self.loss(rows), [self.logits])
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Adam), "there is one"
        optimizer.step()

    def objective(self, rows: Tensor) -> dict[str, Tensor]:
        """The four losses, unweighted, on the samples `rows` [B], by name in the order of `LOSSES`.

        Where processes share them, this one's shares.
        """
        s, data, batch = self.settings, self.samples, len(rows)
        anchors, centred = self._mixed()
        rows = self.share.of(rows)
        products, gram = compare(data.whitened.index_select(0, rows), anchors, data.dims, self.products)
        squares = gram.diagonal(dim1=1, dim2=2)
        cover = losses.coverage(
            products,
            data.squares.index_select(1, rows),
            squares,
            data.widths,
            s.coverage_temperature,
            s.coverage_chunk,
            batch,
        )
        single = [
            cover,
            losses.orthogonality(gram) / self.share.size,
            losses.length(squares) / self.share.size,
        ]
        relative = self._relative(rows, centred) if data.points else products
        nce = losses.sym_nce(relative, s.nce_temperature, self.share, batch, self.products)
        return dict(zip(LOSSES, [nce, *(loss.mean() for loss in single)], strict=True))

    def _mixed(self) -> tuple[Tensor, Tensor]:
        """P times what it mixes: the whitened anchors [m, sum d], and the centred ones where they are needed.

        All in one product and one gathering, as all processes have to exchange in the same order.
        """
        own = losses.mixture(self.share.of(self.logits), self.settings.temperature)
        mixed = self.share.whole(mix(own, self.samples.support, self.products), len(self.logits))
        width = sum(self.samples.dims)
        return mixed[:, :width], mixed[:, width:]

    def _relative(self, rows: Tensor, anchors: Tensor) -> Tensor:
        """RR of `rows` [B] under a similarity that is not WIP, [E, B, m]. anchors centred, [m, sum d]."""
        data, similarity = self.samples, self.similarity
        centred = zip(anchors.split(data.dims, dim=1), data.whitenings, strict=True)
        prepared = [similarity.points(a + w.mean, w) for a, w in centred]
        pairs = zip(data.points, prepared, strict=True)
        return torch.stack([similarity.compare(points.index_select(0, rows), a) for points, a in pairs])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam on the logits (Table 5)."""
        captured = self._captured is not None and self.logits.is_cuda
        return torch.optim.Adam(self.parameters(), self.settings.lr, fused=True, capturable=captured)

    def check_epoch(self, means: Mapping[str, float]) -> None:
        """Stop at the first loss that is not finite.

        Raises:
            UserError: there is one.
        """
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if bad:
            raise user_error(
                f"PARAM diverged in epoch {self.current_epoch}: {', '.join(bad)} is not finite",
                f"lower anchors.lr (now {self.settings.lr:g}) or raise the temperatures; nothing is recorded",
            )
