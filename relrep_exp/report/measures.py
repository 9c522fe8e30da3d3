"""How each metric is named, printed and ranked."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
    """

    name: str
    label: str
    percent: bool = False
    decimals: int = 3
    better: int = 1
    per_encoder: bool = False

    def text(self, value: float) -> str:
        """The value as printed; `nan` where it is not defined."""
        if math.isnan(value):
            return "nan"
        return f"{value * 100 if self.percent else value:.{self.decimals}f}"

    def signed(self, value: float) -> str:
        """A difference as printed, with its sign; what rounds to nothing is positive."""
        return f"{value * 100 if self.percent else value:+z.{self.decimals}f}"

    @property
    def unit(self) -> str:
        """The label with its unit, e.g. `weighted F1 in %`."""
        return f"{self.label} in %" if self.percent else self.label


JOIN = "join_seconds"  # of a record's timings, not of its rows: seconds until a new encoder can be read
RESCALED = "accuracy@"  # followed by the factor

_KNOWN = (
    Measure("f1_weighted", "weighted F1", percent=True, decimals=2),
    Measure("accuracy", "accuracy", percent=True, decimals=2),
    Measure("mse", "MSE", decimals=4, better=-1),
    Measure("own_mse", "own MSE", decimals=4, better=-1),
    Measure("psnr", "PSNR", decimals=2),
    Measure("ssim", "SSIM"),
    Measure("variance", "variance", decimals=4, better=0, per_encoder=True),
    Measure("autoencoder_mse", "AE MSE", decimals=4, better=0, per_encoder=True),
    Measure("mrr", "MRR"),
    Measure("recall@1", "R@1", percent=True, decimals=2),
    Measure("recall@5", "R@5", percent=True, decimals=2),
    Measure("nmse", "nMSE", better=-1),
    Measure("cka", "CKA"),
    Measure("overlap", "overlap"),
    Measure("rr_cosine", "RR cosine"),
    Measure("shift_near", "shift near 0", better=-1),
    Measure("shift_far", "shift far off", better=-1),
    Measure("rr_std", "RR std", better=0, per_encoder=True),
    Measure(JOIN, "join in s", decimals=4, better=0, per_encoder=True),
    Measure("parallel_points", "parallel points", decimals=0, better=0, per_encoder=True),
    Measure("reconstruction_cosine", "cosine to the original", decimals=4, per_encoder=True),
    Measure("reconstruction_relative_error", "relative error", decimals=4, better=-1, per_encoder=True),
    Measure("reconstruction_rank", "rank of the anchors", decimals=1, better=0, per_encoder=True),
    Measure("reconstruction_condition", "condition", decimals=0, better=0, per_encoder=True),
    Measure("effective_rank", "eff. rank", decimals=1, better=0, per_encoder=True),
)
_BY_NAME = {measure.name: measure for measure in _KNOWN}


def measure_of(metric: str) -> Measure:
    """The known measure of that name; an unknown metric prints under its own name and is not ranked."""
    if metric.startswith(RESCALED):
        factor = metric.removeprefix(RESCALED)
        return Measure(metric, f"accuracy at {factor}x", True, decimals=2, better=0, per_encoder=True)
    return _BY_NAME.get(metric) or Measure(metric, metric, better=0)
