"""Every parameter is checked, with our own words, and the command line has the same ranges."""

import math
from inspect import signature
from typing import get_args, get_type_hints

import numpy as np
import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from relrep_exp import (
    Consensus,
    Gpa,
    InverseRelative,
    Param,
    ParamSettings,
    RelativeSpace,
    RidgeCca,
    Translation,
    Whitening,
)
from relrep_exp.alignment.parameters import RANGES, check_named
from relrep_exp.config.schema import (
    AffineConfig,
    Config,
    ConsensusConfig,
    GpaConfig,
    InverseRelativeConfig,
    ParamAnchors,
    RelativeConfig,
    RidgeCcaConfig,
    RuntimeConfig,
)
from relrep_exp.ranges import Auto, Count, OpenShare, Seed, Share, check_ranges

X = np.random.default_rng(0).normal(size=(20, 3))
MAKE = {
    "RelativeSpace": RelativeSpace,
    "Consensus": Consensus,
    "Gpa": Gpa,
    "RidgeCca": RidgeCca,
    "Translation": lambda **settings: Translation("linear", **settings).fit(X, X),
    "InverseRelative": lambda **settings: InverseRelative(**settings).fit(X, X),
    "ParamSettings": ParamSettings,
    "Param": Param,
    "Whitening": lambda **settings: Whitening.fit(X, **settings),
}
CLASSES = {
    **{name: make for name, make in MAKE.items() if isinstance(make, type)},
    "Translation": Translation,
    "InverseRelative": InverseRelative,
    "Whitening": Whitening.fit,
}
SCHEMA = {
    "RelativeSpace": RelativeConfig,
    "Consensus": ConsensusConfig,
    "Gpa": GpaConfig,
    "RidgeCca": RidgeCcaConfig,
    "Translation": AffineConfig,
    "InverseRelative": InverseRelativeConfig,
    "ParamSettings": ParamAnchors,
    "Param": RuntimeConfig,
}
# What is no number or word, or is looked up by name.
OTHERS = {"anchors", "similarity", "kind", "settings", "training", "single", "x"}
VALUES = [-math.inf, -5, -1, -0.1, 0, 0.5, 1, 1.5, 2, 3, 4, 300, 2**31 - 1, 2**31, math.inf, math.nan, None]
WORDS = ["auto", "none", "x", "best", "", "standard", "l2", "mean", "directions", "bf16", "gradient", "all"]


@pytest.mark.parametrize(
    "name, wrong",
    [
        ("RelativeSpace", {"m": -1}),
        ("RelativeSpace", {"m": 2.0}),
        ("RelativeSpace", {"m": True}),
        ("RelativeSpace", {"support": -4}),
        ("RelativeSpace", {"eps": -1e-9}),
        ("RelativeSpace", {"shrinkage": 2}),
        ("RelativeSpace", {"shrinkage": "0.5"}),
        ("RelativeSpace", {"standardise": "x"}),
        ("RelativeSpace", {"seed": -1}),
        ("Consensus", {"m": 0}),
        ("Consensus", {"features": -1}),
        ("Consensus", {"eps": math.nan}),
        ("Consensus", {"seed": 0.5}),
        ("Gpa", {"scaling": "centre"}),
        ("Gpa", {"correction": "x"}),
        ("RidgeCca", {"ridge": 0}),
        ("Translation", {"ridge": -0.1}),
        ("Translation", {"steps": -5}),
        ("Translation", {"lr": 0.0}),
        ("Translation", {"solver": "sgd"}),
        ("InverseRelative", {"delta": 1.5}),
        ("InverseRelative", {"subspaces": 0}),
        ("ParamSettings", {"epochs": -1}),
        ("ParamSettings", {"nce_temperature": 0}),
        ("ParamSettings", {"batch": 0}),
        ("ParamSettings", {"init_std": 0.0}),
        ("ParamSettings", {"start": "zero"}),
        ("Param", {"precision": "float16"}),
        ("Whitening", {"shrinkage": -0.1}),
        ("Whitening", {"eps": "none"}),
    ],
    ids=str,
)
def test_what_is_out_of_its_range_is_refused_by_name_with_what_would_fit(name, wrong):
    [(parameter, value)] = wrong.items()
    with pytest.raises(ValueError, match=rf"^{name}: {parameter}={value!r}: use "):
        MAKE[name](**wrong)


def test_all_that_is_wrong_is_told_at_once_in_words():
    with pytest.raises(ValueError, match="m=-1") as caught:
        RelativeSpace(m=-1, support=1, shrinkage="x", standardise="y", seed=2**31)
    assert str(caught.value) == (
        "RelativeSpace: m=-1: use an integer from 1 on; support=1: use an integer from 2 on; "
        "shrinkage='x': use a number from 0 to 1, or 'auto'; "
        "standardise='y': use 'none' or 'mean' or 'mean_variance'; "
        f"seed={2**31}: use an integer from 0 below {2**31}"
    )
    with pytest.raises(ValueError, match=r"^Y: a=1.0: use a number above 0 below 1$"):
        check_ranges("Y", {"a": 1.0, "b": 0.5}, {"a": OpenShare, "b": OpenShare})
    for part in ("anchors", "similarity"):
        with pytest.raises(ValueError, match=f"{part}=5: give a name"):
            RelativeSpace(**{part: 5})


def test_numbers_of_numpy_are_numbers():
    fits = {"a": np.int64(3), "b": np.float32(0.5), "c": np.array(2), "d": 1, "e": "auto", "f": np.int8(0)}
    check_ranges("X", fits, {"a": Count, "b": Share, "c": Count, "d": Share, "e": Share | Auto, "f": Seed})
    space = RelativeSpace("random", m=np.int64(3), support=np.int32(9), shrinkage=np.float32(0.1))
    assert space.fit({"a": X}).transform(X, "a").shape == (20, 3)


@pytest.mark.parametrize("name", CLASSES)
def test_every_parameter_is_in_the_table(name):
    given = set(signature(CLASSES[name]).parameters)
    assert given - OTHERS == set(RANGES[name])


@pytest.mark.parametrize("name", SCHEMA)
def test_the_command_line_refuses_what_python_refuses_and_nothing_else(name):
    keys = get_type_hints(SCHEMA[name], include_extras=True)
    keys |= {"seed": get_type_hints(Config, include_extras=True)["seed"]}
    for parameter, kind in RANGES[name].items():
        if parameter not in keys:  # m of RelativeSpace, which is a key of anchors
            continue
        validator = TypeAdapter(keys[parameter], config=ConfigDict(allow_inf_nan=False))
        for value in [*VALUES, *WORDS, *literals(kind)]:
            if (name, parameter, value) == ("Consensus", "ridge", 0):
                continue  # an exact solution, for the curious
            assert refused(lambda v=value, p=parameter: check_named(name, {p: v})) == refused(
                lambda v=value, validator=validator: validator.validate_python(v)
            ), (parameter, value)


def refused(check):
    try:
        check()
    except (ValueError, ValidationError):
        return True
    return False


def literals(kind):
    return [value for value in get_args(kind) if isinstance(value, str)]
