"""What every parameter of the public classes may be, in one table, by the configuration's own ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from relrep_exp.alignment.parallel import Preprocessing
from relrep_exp.alignment.standard import Standardise
from relrep_exp.ranges import (
    Auto,
    Count,
    Natural,
    NonNegative,
    Positive,
    Seed,
    Several,
    Share,
    check_ranges,
)

_STATISTICS = {"shrinkage": Share | Auto, "eps": NonNegative | Auto}

RANGES: dict[str, dict[str, Any]] = {
    "RelativeSpace": {
        "m": Count,
        "support": Several,
        **_STATISTICS,
        "standardise": Standardise,
        "seed": Seed,
    },
    "Consensus": {
        "m": Count | Auto,
        "ridge": NonNegative | Auto,
        "features": Natural,
        **_STATISTICS,
        "standardise": Standardise,
        "seed": Seed,
    },
    "Gpa": {"scaling": Preprocessing, "correction": Literal["none", "directions"], "seed": Seed},
    "RidgeCca": {"m": Count | Auto, "ridge": Positive | Auto},
    "Translation": {
        "scaling": Preprocessing,
        "ridge": NonNegative | Auto,
        "solver": Literal["closed", "gradient"],
        "steps": Count,
        "lr": Positive,
    },
    "InverseRelative": {
        "scaling": Preprocessing,
        "ridge": NonNegative | Auto,
        "delta": Share,
        "subspaces": Count,
        "seed": Seed,
    },
    "ParamSettings": {
        "temperature": Positive,
        "epochs": Count,
        "lr": Positive,
        "batch": Several,
        "coverage_chunk": Count,
        "nce_weight": NonNegative,
        "nce_temperature": Positive,
        "coverage_weight": NonNegative,
        "coverage_temperature": Positive,
        "orthogonality_weight": NonNegative,
        "length_weight": NonNegative,
        "init_std": Positive,
        "start": Literal["normal", "consensus"],
        "pairs": Literal["all", "support"],
    },
    "Param": {"precision": Literal["float32", "bf16", "tf32"]},
    "Whitening": {"shrinkage": Share, "eps": NonNegative | Auto},
}


def check_parameters(made: object, name: str) -> None:
    """Check the attributes of what is made as one of the classes of `RANGES`.

    Raises:
        ValueError: some do not fit; each with what would.
    """
    check_named(name, {each: getattr(made, each) for each in RANGES[name]})


def check_named(name: str, values: Mapping[str, Any]) -> None:
    """Check the parameters of one of the classes of `RANGES`, some or all of them.

    Raises:
        ValueError: some do not fit; each with what would.
    """
    check_ranges(name, values, {each: RANGES[name][each] for each in values})


def check_callable(**parts: object) -> None:
    """Refuse what can be no strategy or similarity.

    Raises:
        ValueError: some cannot be called.
    """
    for name, part in parts.items():
        if not callable(part):
            raise ValueError(f"{name}={part!r}: give a name as on the command line, {name}=NAME, or one made")
