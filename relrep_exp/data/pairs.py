"""From aligned sentences to a parallel source: what one language lacks goes in all; then the split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relrep_exp.data.samples import Samples, View
from relrep_exp.data.sources import group
from relrep_exp.errors import user_error

if TYPE_CHECKING:
    from relrep_exp.config.schema import FilesParallel, SubsetsParallel, TableParallel

    Config = SubsetsParallel | TableParallel | FilesParallel

FEWEST = 20
UNTRANSLATED = ("", "NS")  # NS is how PAWS-X marks a sentence without a translation


def paired(config: Config, texts: Mapping[str, Sequence[str | None]], notes: Mapping[str, Any]) -> Samples:
    """Keep the sentences that every language has, each once, with a held-out share.

    Args:
        config: with `limit` (drawn by `split_seed`, in the source's order), `test_share` and `split_seed`.
        texts: language -> sentences; row n is the same one everywhere. The first language says which repeat.
        notes: what the reader has to say about them.

    Raises:
        UserError: fewer than `FEWEST` are left, or the share holds out fewer than two.
    """
    import torch

    whole = _whole(texts)
    once = _once(texts, whole)
    rows, is_train = _split(config, once)
    counts = {"without_translation": _length(texts) - len(whole), "repeated": len(whole) - len(once)}
    told = {**notes, "pairs": len(rows), **{name: count for name, count in counts.items() if count}}
    _require_enough(config, rows, is_train, told)
    split = torch.tensor(is_train)
    views = {view: View([str(column[row]) for row in rows], split) for view, column in texts.items()}
    return Samples(views, parallel=True, notes=told)


def _length(texts: Mapping[str, Sequence[str | None]]) -> int:
    return len(next(iter(texts.values())))


def _whole(texts: Mapping[str, Sequence[str | None]]) -> list[int]:
    """The rows with a text in every language."""
    columns = zip(*texts.values(), strict=True)
    return [n for n, row in enumerate(columns) if all(t and t.strip() not in UNTRANSLATED for t in row)]


def _once(texts: Mapping[str, Sequence[str | None]], rows: Sequence[int]) -> list[int]:
    """The first row of each text in the first language."""
    first = next(iter(texts.values()))
    return sorted({first[row]: row for row in reversed(rows)}.values())


def _split(config: Config, rows: Sequence[int]) -> tuple[list[int], list[bool]]:
    """The rows that `limit` leaves, and which of them are for training."""
    import numpy as np

    mixed = np.random.RandomState(config.split_seed).permutation(rows)[: config.limit]
    held_out = set(mixed[: round(config.test_share * len(mixed))].tolist())
    kept = sorted(mixed.tolist())
    return kept, [row not in held_out for row in kept]


def _require_enough(
    config: Config, rows: Sequence[int], is_train: Sequence[bool], told: Mapping[str, Any]
) -> None:
    here = group(config)
    if len(rows) < FEWEST:
        counts = ", ".join(f"{name} {value}" for name, value in told.items() if isinstance(value, int))
        what = f"{here}={config.name}: {len(rows)} pairs are too few ({counts})"
        raise user_error(what, f"give at least {FEWEST} sentences that every language has")
    train = sum(is_train)
    if min(train, len(rows) - train) < 2:
        what = f"{here}.test_share={config.test_share}: {train} of {len(rows)} pairs are left to learn from"
        raise user_error(what, "choose a share that puts at least two on either side")
