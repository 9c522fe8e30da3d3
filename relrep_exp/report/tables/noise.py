"""Tell differences from noise: paired tests over seeds or pairs, Holm's correction, interquartile means.

A seed draws anchors, P and decoders. Encoders and test samples are the same under every seed, so a test over
seeds says nothing of others; how far test samples move a number is told beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from relrep_exp.report.tables.measures import mean_of, std_of

if TYPE_CHECKING:
    from relrep_exp.report.tables.table import Cell

ALPHA = 0.05
INTERVAL = 0.95
ENOUGH_SEEDS = 5  # with fewer, Holm's correction over a table's rows leaves nothing to be found
SEEDS, PAIRS, SAMPLES = "seeds", "pairs of encoders", "test samples"
_DRAWS = 2000
_NO_SPREAD = 1e-9  # of a difference: where it varies less between units, it is the same and that is rounding


class Test(NamedTuple):
    """What tells two cells apart.

    Attributes:
        p: two-sided; NaN where nothing can be tested.
        unit: of the test: `SEEDS`, `PAIRS` or `SAMPLES`; "" where the two are equal, or nothing is noise.
    """

    p: float
    unit: str = ""


def is_testable(cell: Cell) -> bool:
    """Tell whether a cell has numbers enough: of one pair `ENOUGH_SEEDS`, of a mean over pairs two seeds."""
    several = all(len(score.pairs) > 1 for score in cell.scores)
    return math.isfinite(cell.mean) and cell.n >= (2 if several else ENOUGH_SEEDS)


def paired_test(one: Cell, other: Cell) -> Test:
    """Test whether two cells differ by a paired t-test.

    The unit is a seed's number, of a mean the mean over pairs of encoders: pairs share encoders, anchors and
    test samples, and are no independent units. With fewer than `ENOUGH_SEEDS` common seeds, or where all have
    the same difference, as between methods that draw nothing, the unit is a pair after all, with its mean
    over seeds, and p is too small. Where pairs do not differ either, the difference is tested against the
    standard errors over test samples; both cells are measured on the same samples, so p is too large.
    """
    theirs = {score.seed: score for score in other.scores}
    both = [(score, theirs[score.seed]) for score in one.scores if score.seed in theirs]
    if len(both) < 2:
        return Test(math.nan)
    over_seeds = [ours.value - its.value for ours, its in both]
    difference = mean_of(over_seeds)
    varies = _varies(over_seeds)
    if varies and len(both) >= ENOUGH_SEEDS:
        return Test(_t_test(over_seeds), SEEDS)
    runs = [score for two in both for score in two]
    common = [pair for pair in runs[0].pairs if all(pair in score.pairs for score in runs)]
    over_pairs = [mean_of([ours.pairs[pair] - its.pairs[pair] for ours, its in both]) for pair in common]
    if _varies(over_pairs):
        return Test(_t_test(over_pairs), PAIRS)
    if varies or not difference:
        return Test(math.nan if varies else 1.0)
    error = math.hypot(one.error, other.error)
    return Test(math.erfc(abs(difference) / error / math.sqrt(2)), SAMPLES) if error > 0 else Test(0.0)


def _varies(differences: Sequence[float]) -> bool:
    return len(differences) > 1 and std_of(differences) > _NO_SPREAD * abs(mean_of(differences))


def _t_test(differences: Sequence[float]) -> float:
    from scipy.special import stdtr  # of which scipy.stats' ttest_rel is made, that takes a second longer

    t = abs(mean_of(differences)) / (std_of(differences) / math.sqrt(len(differences)))
    return 2.0 * float(stdtr(len(differences) - 1, -t))


def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's step-down method; NaN counts as 1.

    With all that are below alpha taken for differences, the chance that any of them is none is at most alpha.
    """
    known = [1.0 if math.isnan(p) else p for p in values]
    corrected, largest = [0.0] * len(known), 0.0
    for rank, index in enumerate(sorted(range(len(known)), key=known.__getitem__)):
        largest = max(largest, min(1.0, (len(known) - rank) * known[index]))
        corrected[index] = largest
    return corrected


def interquartile_mean(cell: Cell) -> tuple[float, float, float] | None:
    """Take the mean of the middle half of all pairs and seeds (rliable, arXiv:2108.13264), with its interval.

    The interval is the middle 95 % of a bootstrap that is stratified by pair: each pair keeps its number of
    seeds. One run has all pairs, so that a drawn seed is drawn for all of them; rliable, whose tasks are
    run apart, draws for each anew.

    Returns:
        The mean, the interval's lower and upper end; None for a single seed or pair, or where a value is no
        finite number.
    """
    if cell.n < 2 or not math.isfinite(cell.mean) or min(len(score.pairs) for score in cell.scores) < 2:
        return None
    import numpy as np

    values = np.array([[*score.pairs.values()] for score in cell.scores])  # [seeds, pairs]
    drawn = np.random.default_rng(0).integers(len(values), size=(_DRAWS, len(values)))
    samples = np.concatenate([values[None], values[drawn]]).reshape(1 + _DRAWS, -1)
    tail = values.size // 4
    mean, *means = np.sort(samples, axis=1)[:, tail : values.size - tail].mean(axis=1)
    low, high = np.quantile(means, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return float(mean), float(low), float(high)
