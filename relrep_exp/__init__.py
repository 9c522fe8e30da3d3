"""Relative representations and latent translation: every method, every table, your own encoders.

From Python, with no configuration:

    from relrep_exp import RelativeSpace

    space = RelativeSpace(anchors="param", similarity="wip", m=64).fit({"a": x_a, "b": x_b})
    space.join("c", x_c[space.support_ids], metric=x_c)
    relative = space.transform(x_c_test, encoder="c")

One space translated to another, in the style of scikit-learn:

    from relrep_exp import Translation

    in_b = Translation("ortho").fit(x_a[anchors], x_b[anchors]).transform(x_a_test)

All numbers of the store, as a frame of pandas:

    from relrep_exp import load_records

    frame = load_records("outputs")
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "AnchorSet": "relrep_exp.alignment.anchors",
    "Consensus": "relrep_exp.alignment.consensus",
    "FileRows": "relrep_exp.store.mapped",
    "Gpa": "relrep_exp.alignment.gpa",
    "InverseRelative": "relrep_exp.alignment.estimators",
    "Param": "relrep_exp.alignment.param.learn",
    "ParamSettings": "relrep_exp.alignment.param.learn",
    "RelativeSpace": "relrep_exp.alignment.relative",
    "RidgeCca": "relrep_exp.alignment.ridge_cca",
    "Space": "relrep_exp.alignment.anchors",
    "Translation": "relrep_exp.alignment.estimators",
    "Whitening": "relrep_exp.alignment.whitening",
    "aligner": "relrep_exp.tasks.measure",
    "anchor_strategy": "relrep_exp.alignment.anchors",
    "data_source": "relrep_exp.data.sources",
    "decoder": "relrep_exp.tasks.measure",
    "load_records": "relrep_exp.store.frame",
    "similarity": "relrep_exp.alignment.similarity",
    "task": "relrep_exp.tasks.measure",
    "zoo_kind": "relrep_exp.encoders.zoo",
}
__all__ = ["__version__", *sorted(_EXPORTS)]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: torch takes a second that --help does not have."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
