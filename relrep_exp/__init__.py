"""Relative representations and latent translation: every method, every table, your own encoders.

From Python, with no configuration:

    from relrep_exp import RelativeSpace

    space = RelativeSpace(anchors="param", similarity="wip", m=64).fit({"a": x_a, "b": x_b})
    space.join("c", x_c[space.support_ids], metric=x_c)
    relative = space.transform(x_c_test, encoder="c")

One space translated to another, in the style of scikit-learn:

    from relrep_exp import Translation

    in_b = Translation("ortho").fit(x_a[anchors], x_b[anchors]).transform(x_a_test)

Embeddings are tensors, numpy arrays, DataFrames, lists or `FileRows`; a tensor comes out for a tensor.

All numbers of the store, as a frame of pandas:

    from relrep_exp import load_records

    frame = load_records("outputs")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # what checkers and editors see; `__getattr__` would make everything `Any`
    from relrep_exp.alignment.anchors import AnchorSet as AnchorSet
    from relrep_exp.alignment.anchors import Space as Space
    from relrep_exp.alignment.anchors import anchor_strategy as anchor_strategy
    from relrep_exp.alignment.consensus import Consensus as Consensus
    from relrep_exp.alignment.estimators import InverseRelative as InverseRelative
    from relrep_exp.alignment.estimators import Translation as Translation
    from relrep_exp.alignment.fitted import NotFittedError as NotFittedError
    from relrep_exp.alignment.gpa import Gpa as Gpa
    from relrep_exp.alignment.param.learn import Param as Param
    from relrep_exp.alignment.param.learn import ParamSettings as ParamSettings
    from relrep_exp.alignment.relative import RelativeSpace as RelativeSpace
    from relrep_exp.alignment.ridge_cca import RidgeCca as RidgeCca
    from relrep_exp.alignment.similarity import similarity as similarity
    from relrep_exp.alignment.whitening import Whitening as Whitening
    from relrep_exp.data.sources import data_source as data_source
    from relrep_exp.encoders.zoo import zoo_kind as zoo_kind
    from relrep_exp.store.frame import load_records as load_records
    from relrep_exp.store.mapped import FileRows as FileRows
    from relrep_exp.tasks.measure import aligner as aligner
    from relrep_exp.tasks.measure import decoder as decoder
    from relrep_exp.tasks.measure import task as task
else:

    def __getattr__(name: str) -> Any:
        """Import what is asked for when it is asked for: torch takes a second that --help does not have."""
        if name not in _EXPORTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_EXPORTS[name]), name)


_EXPORTS = {
    "AnchorSet": "relrep_exp.alignment.anchors",
    "Consensus": "relrep_exp.alignment.consensus",
    "FileRows": "relrep_exp.store.mapped",
    "Gpa": "relrep_exp.alignment.gpa",
    "InverseRelative": "relrep_exp.alignment.estimators",
    "NotFittedError": "relrep_exp.alignment.fitted",
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
__all__ = [
    "AnchorSet",
    "Consensus",
    "FileRows",
    "Gpa",
    "InverseRelative",
    "NotFittedError",
    "Param",
    "ParamSettings",
    "RelativeSpace",
    "RidgeCca",
    "Space",
    "Translation",
    "Whitening",
    "__version__",
    "aligner",
    "anchor_strategy",
    "data_source",
    "decoder",
    "load_records",
    "similarity",
    "task",
    "zoo_kind",
]


def __dir__() -> list[str]:
    """List what is public, imported or not."""
    return sorted({*globals(), *__all__})
