"""Generalised Procrustes analysis (Gower 1975), and its correction of directions (arXiv:2602.06205)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.alignment.arrays import Embeddings, common_rows, parallel_of, rows_of
from relrep_exp.alignment.members import check_joined, not_fitted
from relrep_exp.alignment.parallel import Parallel, Preprocessing, Scaler, rounding_share
from relrep_exp.alignment.parameters import check_parameters
from relrep_exp.alignment.reading import Reader, Reading
from relrep_exp.alignment.translation import TranslationMap, ortho
from relrep_exp.training.seeding import generator, scoped_seed

ROUNDS, TOLERANCE = 100, 1e-5  # of the reference, relative change in a round
STEPS, BATCH, CHECK, PATIENCE = 500, 256, 20, 5  # of the correction; a look at held-out rows every 20 steps
LR, DECAY, HELD_OUT = 2e-3, 1e-4, 0.1
SLACK, TRUST = 0.08, 0.7  # of 1 - cosine: what a direction may turn for nothing; the price beyond


class Gpa(Reading):
    """Orthogonal maps of all training encoders to their mean, and of a joining encoder to that mean.

    Every encoder is scaled by its support's statistics and to the same total variance; those with fewer
    dimensions than the widest are padded with zeros. What joins changes nothing. Directions of which the
    support says nothing are mapped to 0, as by `translation.ortho`.

    Example:
        space = Gpa().fit({"a": x_a, "b": x_b})          # the same K samples, row by row
        space.join("c", x_c)                             # the same samples again
        shared = space.transform(x_c_test, encoder="c")  # [N, d of the widest]

    Args:
        scaling: of every encoder, by its support: `standard`, `center`, `l2` or `none`.
        correction: `directions`: a small network that all encoders share turns what is mapped towards the
            mean direction of the training encoders (GCPA), and leaves its length; `none`.
        seed: draws the network's first weights and its held-out tenth of the support.

    Embeddings are what `Reading` says; what comes out has their dtype, float32 at least.

    Raises:
        ValueError: a parameter is out of its range.
    """

    def __init__(
        self,
        scaling: Preprocessing = "standard",
        correction: Literal["none", "directions"] = "none",
        seed: int = 0,
    ):
        self.scaling, self.correction, self.seed = scaling, correction, seed
        check_parameters(self, "Gpa")
        self._reference = torch.empty(0, 0)
        self._maps: dict[str, TranslationMap] = {}
        self._corrected: Correction | None = None
        self._told: dict[str, Any] = {}

    def fit(self, support: Mapping[str, Embeddings]) -> Self:
        """Turn the encoders to their mean, and the mean to them, until it stays.

        Args:
            support: embeddings [K, d_i] of the same K samples, row by row, for each encoder.

        Raises:
            AnchorsError: rows that are not finite or all equal, or one row alone.
            ValueError: rows that are not parallel.
        """
        read = parallel_of(support)
        common_rows(read)
        scaled = {name: _Scaled.of(x, self.scaling) for name, x in read.items()}
        reference = max((one.rows for one in scaled.values()), key=lambda rows: rows.shape[1])
        rounds, moved = 0, float("inf")
        while rounds < ROUNDS and moved > TOLERANCE:
            turned = torch.stack([one.rows @ one.turn(reference) for one in scaled.values()])
            mean = turned.mean(0)
            moved, reference, rounds = float((mean - reference).norm() / mean.norm()), mean, rounds + 1
        self._reference, self._corrected = reference, None
        self._maps = {name: one.map_to(reference) for name, one in scaled.items()}
        turned = torch.stack([one.rows @ one.turn(reference) for one in scaled.values()])
        apart = float((turned - reference).square().sum(2).mean())
        self._told = {"m": reference.shape[1], "rounds": rounds, "apart": apart}
        if self.correction == "directions":
            self._corrected, self._told["steps"] = fit_correction(turned.float(), self.seed)
        return self

    def join(self, name: str, support: Embeddings) -> Self:
        """Turn one more encoder to the reference, by its embeddings [K, d] of the same samples.

        Raises:
            NotFittedError: before `fit`.
            AnchorsError: not K rows, not finite, or all equal.
        """
        if not self._maps:
            raise not_fitted("the space")
        rows = rows_of(support, repr(name)).detach().to(self._reference.device)
        self._maps[name] = _Scaled.of(rows, self.scaling).map_to(self._reference)
        return self

    def _reader(self, encoder: str) -> Reader:
        """Find what reads an encoder: its map to the reference."""
        check_joined(encoder, self._maps)
        matrix = self._maps[encoder].matrix
        return Reader(len(matrix), matrix.device, lambda x: self._turned(x, encoder))

    def _turned(self, x: Tensor, encoder: str) -> Tensor:
        """Map x [N, d] of an encoder to the reference, [N, m], and correct its direction."""
        turned = self._maps[encoder](x)
        if self._corrected is None:
            return turned
        directions: Tensor = self._corrected(turned.float())
        long: Tensor = directions * turned.norm(dim=1, keepdim=True)
        return long.to(x.dtype)

    def diagnostics(self) -> dict[str, Any]:
        """Tell the dimension, the rounds, the mean squared distance to the reference, of length 1 at most."""
        return self._told


class _Scaled:
    """Support embeddings of one encoder, scaled; their mean squared length is 1."""

    def __init__(self, rows: Tensor, scaler: Scaler, length: float, tolerance: float):
        self.rows, self._scaler, self._length, self._tolerance = rows, scaler, length, tolerance

    @classmethod
    def of(cls, x: Tensor, scaling: Preprocessing) -> _Scaled:
        """Scale x [K, d] by its own statistics, in float64."""
        scaler = Parallel.of(x, x, scaling).before
        rows = scaler(x.double())
        length = float(rows.square().sum(1).mean().sqrt())
        return cls(rows / length, scaler, length, rounding_share(x, x))

    def turn(self, reference: Tensor) -> Tensor:
        """Solve Procrustes: R [d, m] that brings the rows closest to a reference [K, m]."""
        return ortho(Parallel.of(self.rows, reference, "none", tolerance=self._tolerance), 0.0).matrix

    def map_to(self, reference: Tensor) -> TranslationMap:
        """Make the map from embeddings to the reference."""
        mean = reference.new_zeros(reference.shape[1])
        turned = self.turn(reference) / self._length
        return TranslationMap(self._scaler, turned, Scaler(mean, torch.ones_like(mean)), {"kind": "gpa"})


class Correction(nn.Module):
    """Turn directions u of the reference: u + gate(u) change(u), brought to length 1; at first u itself."""

    def __init__(self, m: int):
        super().__init__()
        self.norm, self.hidden = nn.LayerNorm(m), nn.Linear(m, 2 * m)
        self.last, self.gate = nn.Linear(2 * m, m), nn.Linear(m, m)
        for weights in (*self.last.parameters(), *self.gate.parameters()):
            nn.init.zeros_(weights)

    def forward(self, x: Tensor) -> Tensor:
        """Turn x [..., m], of any length, to directions of length 1."""
        u = F.normalize(x, dim=-1)
        seen = self.norm(u)
        change = self.last(F.gelu(self.hidden(seen)))
        return F.normalize(u + torch.sigmoid(self.gate(seen)) * change, dim=-1)


def fit_correction(turned: Tensor, seed: int) -> tuple[Correction, int]:
    """Learn to turn every encoder's directions to the mean direction of all, and not much further than that.

    The loss is 1 - cos(T(u), mean direction) + TRUST max(0, 1 - cos(T(u), u) - SLACK), by AdamW; the weights
    kept are those that do best on a tenth of the samples, which is held out.

    Args:
        turned: the training encoders in the reference, [E, K, m].
        seed: of weights and held-out samples.

    Returns:
        The correction, and how many steps were taken.
    """
    u = F.normalize(turned, dim=2)
    target = F.normalize(u.mean(0), dim=1)
    draw = generator(seed, "samples of the correction")
    order = torch.randperm(u.shape[1], generator=draw).to(u.device)
    count = max(1, round(HELD_OUT * len(order)))
    held, seen = order[:count], order[count:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(scoped_seed(seed, "correction"))
        correction = Correction(u.shape[2]).to(u)
    optimiser = torch.optim.AdamW(correction.parameters(), LR, weight_decay=DECAY)

    def loss(rows: Tensor) -> Tensor:
        made = correction(u[:, rows])
        apart, drift = 1 - (made * target[rows]).sum(2), 1 - (made * u[:, rows]).sum(2)
        mean: Tensor = (apart + TRUST * (drift - SLACK).clamp_min(0)).mean()
        return mean

    best, kept, since, step = float("inf"), correction.state_dict(), 0, 0
    while since < PATIENCE and step < STEPS:
        found = float(loss(held).detach())
        since += 1
        if found < best:
            best, since = found, 0
            kept = {name: value.clone() for name, value in correction.state_dict().items()}
        for _ in range(CHECK):
            drawn = torch.randperm(len(seen), generator=draw)[:BATCH].to(u.device)
            optimiser.zero_grad()
            with torch.enable_grad():
                loss(seen[drawn]).backward()
            optimiser.step()
        step += CHECK
    correction.load_state_dict(kept)
    return correction.requires_grad_(False), step
