"""What runs and processes compute once: statistics, and representations where keeping them pays.

Measured on two busy cores with 50,000 embeddings of dimension 768, digests checked. Their statistics take 5 s
to fit and 3 ms to read. Representations on 300 anchors are 60 MB: 0.14 s to write, 0.05 s to read. By l1 they
take 15 s, by WIP 0.7 s (23 GFLOP: 0.11 s on two idle cores with 205 GFLOP/s), and Table 1 would write 20 GB
of them for little. So statistics are kept from a number of operations on, and representations where computing
them takes several times as long as writing and reading: by l1 always, by WIP hardly ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.config import plugins
from relrep_exp.config.schema import Config
from relrep_exp.errors import UserError
from relrep_exp.store import versions
from relrep_exp.store.bounded import mark_used, prune
from relrep_exp.store.files import digest, free_bytes
from relrep_exp.store.keys import content_key
from relrep_exp.store.tensors import Entry, TensorStore
from relrep_exp.tasks.identity import REPRESENTATIONS, STATISTICS, TRAIN, statistics_identity

KEPT_FROM_GFLOP = 2.0  # of fitting statistics: some 50 ms, as long as writing them takes
KEPT_FROM_BYTES = 2**24  # of representations: below, computing them takes no time to speak of
DISK_BYTES_PER_SECOND = 3e8  # to write and to read, digests and fsync included
TIMES_DEARER = 5.0  # than writing and reading
PROBE_ROWS = 512
_LOG = logging.getLogger("relrep_exp")

Project = Callable[[Tensor], Tensor]
Compute = Callable[[], tuple[dict[str, Tensor], dict[str, Any]]]


@dataclass
class Sharing:
    """What one run shares with others.

    Attributes:
        outputs: the folder of all results; None: nothing is kept.
        recompute: make everything anew, each thing once in a run.
        most_bytes: representations may take so much of the disk.
        sim: the similarity, for representations that a file of the user's computes.
    """

    outputs: Path | None = None
    recompute: bool = False
    most_bytes: float = 0.0
    sim: str = ""
    _made: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, config: Config) -> Sharing:
        """As configured."""
        most = config.runtime.representations_gb * 1e9
        return cls(Path(config.paths.outputs), config.overwrite == "always", most, config.sim.name)

    def space(self, x: Tensor, embeddings: str) -> Space:
        """Training embeddings x [N, d] whose statistics are kept; `embeddings` is their identity."""
        return Space(x, partial(self._statistics, embeddings) if self.outputs is not None else None)

    def representations(
        self, reading: str | None, rows: tuple[str, str], x: Tensor, project: Project
    ) -> Tensor:
        """What `project` makes of x [N, d], [N, k]; where it cannot be kept, a warning says so.

        Args:
            reading: tells `project` from other maps, see `Aligner.reading`; None: nothing does.
            rows: the identity of the embeddings and which of them x is, `train` or `test`.
            x: the embeddings.
            project: the map.
        """
        if self.outputs is None or reading is None or not self.most_bytes:
            return project(x)
        identity = {
            "reading": reading,
            "plugins": plugins.digests(sim=self.sim),
            "rows": rows,
            "version": versions.ALIGNMENT,
        }
        folder = self.outputs / REPRESENTATIONS / content_key(identity)
        if not folder.exists() and not self._dear(x, project, folder):
            return project(x)
        return self._kept(folder, identity, x, project)

    def _kept(self, folder: Path, identity: dict[str, Any], x: Tensor, project: Project) -> Tensor:
        """From the store; keeping only saves time, so a store that fails does not fail the run."""
        made: list[Tensor] = []

        def compute() -> tuple[dict[str, Tensor], dict[str, Any]]:
            made.append(project(x))
            return {"x": made[0]}, identity

        try:
            entry = self._once(TensorStore(folder.parent), folder.name, compute)
        except UserError as error:
            _LOG.warning("representations are not kept: %s", error)
            return made[0] if made else project(x)
        if entry.computed:
            prune(folder.parent, self.most_bytes)
        else:
            mark_used(folder)
        found = entry.tensors["x"]
        assert len(found) == len(x), "rows are told apart by their identity"
        return found.to(x.device)

    def _dear(self, x: Tensor, project: Project, folder: Path) -> bool:
        """Whether keeping pays, by the time that the first rows take; and there is room for it.

        They are projected twice and the least time counts, as the first may pay for what is set up once.
        """
        if len(x) <= PROBE_ROWS:
            return False
        first, probe = _timed(project, x[:PROBE_ROWS])
        size = probe[0].nbytes * len(x)
        if not KEPT_FROM_BYTES <= size <= min(self.most_bytes, free_bytes(folder)):
            return False
        second, _ = _timed(project, x[:PROBE_ROWS])
        seconds = min(first, second) * len(x) / len(probe)
        return seconds > TIMES_DEARER * size / DISK_BYTES_PER_SECOND

    def _statistics(
        self, embeddings: str, x: Tensor, shrinkage: float, eps: float, rows: Tensor | None
    ) -> Whitening:
        """The Whitening of some training rows of an encoder, from the store where it is worth it."""
        if _fit_gflop(*x.shape) < KEPT_FROM_GFLOP:
            return Whitening.fit(x, shrinkage, eps)
        assert self.outputs is not None, "spaces are given this where there is a folder"
        which = TRAIN if rows is None else digest(rows)
        identity = statistics_identity(embeddings, shrinkage, eps, which)

        def compute() -> tuple[dict[str, Tensor], dict[str, Any]]:
            found = Whitening.fit(x, shrinkage, eps)
            numbers = {"condition": found.condition, "rank": found.rank, "count": found.count}
            return {"mean": found.mean, "matrix": found.matrix}, {**identity, "numbers": numbers}

        entry = self._once(TensorStore(self.outputs / STATISTICS), content_key(identity), compute)
        mean, matrix = entry.tensors["mean"], entry.tensors["matrix"]
        return Whitening(mean, matrix, **entry.describe["numbers"]).to(x.device)

    def _once(self, store: TensorStore, key: str, compute: Compute) -> Entry:
        """The entry of a key; with `recompute` made anew, but once."""
        entry = store.get_or_compute(key, compute, recompute=self.recompute and key not in self._made)
        self._made.add(key)
        return entry


def _timed(project: Project, x: Tensor) -> tuple[float, Tensor]:
    """Seconds that a projection takes, without the work that a GPU was given before; and what it makes."""
    _wait_for(x.device)
    start = time.perf_counter()
    made = project(x)
    _wait_for(x.device)
    return time.perf_counter() - start, made


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _fit_gflop(n: int, d: int) -> float:
    """Work of Whitening.fit on [n, d]: the covariance and its eigenvalue decomposition."""
    return (2.0 * n * d**2 + 9.0 * d**3) / 1e9
