"""Print the metrics of records: their names, units, digits and directions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

JOIN = "join_seconds"  # of a record's timings, not of its rows: seconds until a new encoder can be read
RESCALED = "accuracy@"  # followed by the factor
ERROR = "_se"  # after a metric's name: its standard error over test samples


@dataclass(frozen=True)
class Measure:
    """One metric as a reader sees it.

    Attributes:
        name: the metric's name in a `Row`.
        label: its name in a table.
        percent: whether the fraction is printed as a percentage, as the paper does.
        decimals: digits after the point.
        better: +1 if higher is better, -1 if lower is, 0 if it is a description and no score.
        per_encoder: whether it describes the test encoder alone, so that one row serves every classifier.
        short: its name with the unit where ten metrics share a line of 100 columns; "" for the label.
    """

    name: str
    label: str
    percent: bool = False
    decimals: int = 3
    better: int = 1
    per_encoder: bool = False
    short: str = ""

    def text(self, value: float) -> str:
        """Print the value; `nan` where it is not defined."""
        return "nan" if math.isnan(value) else f"{value * self.factor:.{self.decimals}f}"

    def spread(self, mean: float, std: float) -> str:
        """Print `89.59 ± 0.19`; the mean alone where there is no deviation."""
        spread = self.text(std)
        return self.text(mean) + (f" ± {spread}" if spread != "nan" else "")

    def signed(self, value: float) -> str:
        """Print a difference with its sign; what rounds to nothing is positive."""
        return f"{value * self.factor:+z.{self.decimals}f}"

    @property
    def factor(self) -> int:
        """100 where a fraction is printed as a percentage, else 1."""
        return 100 if self.percent else 1

    @property
    def unit(self) -> str:
        """The label with its unit, e.g. `weighted F1 in %`."""
        return f"{self.label} in %" if self.percent else self.label


_AGREEMENT = {"cka": "CKA", "overlap": "overlap", "cknna": "CKNNA"}

# In the order of the columns of a run's table.
_KNOWN = (
    Measure("f1_weighted", "weighted F1", percent=True, decimals=2, short="F1 %"),
    Measure("accuracy", "accuracy", percent=True, decimals=2, short="acc. %"),
    Measure("mse", "MSE", decimals=4, better=-1),
    Measure("own_mse", "own MSE", decimals=4, better=-1),
    Measure("psnr", "PSNR", decimals=2),
    Measure("ssim", "SSIM"),
    Measure("recall@1", "R@1", percent=True, decimals=2, short="R@1 %"),
    Measure("recall@5", "R@5", percent=True, decimals=2, short="R@5 %"),
    Measure("mrr", "MRR"),
    Measure("nmse", "nMSE", better=-1),
    Measure("cka", "CKA"),
    Measure("overlap", "overlap", short="overl."),
    Measure("rr_cosine", "RR cosine", short="cos."),
    Measure("shift_near", "shift near 0", better=-1, short="near"),
    Measure("shift_far", "shift far off", better=-1, short="far"),
    Measure("rr_std", "RR std", better=0, per_encoder=True),
    Measure("effective_rank", "eff. rank", decimals=1, better=0, per_encoder=True, short="rank"),
    Measure("parallel_points", "parallel points", decimals=0, better=0, per_encoder=True, short="points"),
    Measure("variance", "variance", decimals=4, better=0, per_encoder=True),
    Measure("autoencoder_mse", "AE MSE", decimals=4, better=0, per_encoder=True),
    Measure("reconstruction_cosine", "cosine to the original", decimals=4, per_encoder=True),
    Measure("reconstruction_relative_error", "relative error", decimals=4, better=-1, per_encoder=True),
    Measure("reconstruction_rank", "rank of the anchors", decimals=1, better=0, per_encoder=True),
    Measure("reconstruction_condition", "condition", decimals=0, better=0, per_encoder=True),
    Measure(JOIN, "join in s", decimals=4, better=0, per_encoder=True),
)
MEASURES = {measure.name: measure for measure in _KNOWN}

# What no table shows that does not ask for it: agreement beside chance, a part above it of 0 to 1.
_ON_DEMAND = (
    Measure("cka_debiased", "debiased CKA"),
    Measure("cknna", "CKNNA"),
    *(Measure(f"{one}_null", f"{label} by chance", better=0) for one, label in _AGREEMENT.items()),
    *(Measure(f"{one}_calibrated", f"{label} above chance") for one, label in _AGREEMENT.items()),
)


def measure_of(metric: str) -> Measure:
    """Look up a measure by name; an unknown metric prints under its own name and is not ranked."""
    if metric.startswith(RESCALED):
        label = f"accuracy at {metric.removeprefix(RESCALED)}x"
        return Measure(metric, label, percent=True, decimals=2, better=0, per_encoder=True)
    demanded = (measure for measure in _ON_DEMAND if measure.name == metric)
    return MEASURES.get(metric) or next(demanded, Measure(metric, metric, better=0))


def mean_of(values: Sequence[float]) -> float:
    """Take the mean, exactly rounded; an infinity or NaN among the values stays one."""
    return statistics.fmean(values) if all(map(math.isfinite, values)) else sum(values) / len(values)


def std_of(values: Sequence[float]) -> float:
    """Take the sample standard deviation (ddof=1); NaN for a single value or where one is not finite."""
    return statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else math.nan
