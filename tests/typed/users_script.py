"""A user's script, right at first and then wrong: a type checker finds every line marked so, and no other."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import GridSearchCV  # type: ignore[import-untyped]

import relrep_exp
from relrep_exp import (
    AnchorSet,
    Consensus,
    FileRows,
    Gpa,
    InverseRelative,
    Param,
    ParamSettings,
    RelativeSpace,
    RidgeCca,
    Space,
    Translation,
    Whitening,
)

array: npt.NDArray[np.float32] = np.ones((60, 4), np.float32)
tensor = torch.ones(60, 4)
lists = [[1.0, 2.0], [3.0, 4.0]]
files = FileRows.open(Path("x.npy"))

# What is right.
space = RelativeSpace(Param(ParamSettings(epochs=3)), "wip", m=4, shrinkage="auto", seed=1)
space.fit({"a": array, "b": tensor, "c": lists, "d": files, "e": Space(array)})
space.join("f", lists, metric=files).join("g", tensor, metric=Space(tensor))
of_tensor: torch.Tensor = space.transform(tensor, encoder="a")
of_array: npt.NDArray[np.floating] = space.transform(array, encoder="a")
of_lists: npt.NDArray[np.floating] = space.transform(lists, "a")
of_files: torch.Tensor = space.transform(files, "a")
for block in space.transform_blocks(files, "a"):
    print(block.shape, block.requires_grad)
shared = Consensus(m=3, ridge="auto").fit({"a": array, "b": tensor}).join("c", array)
Gpa("center", correction="directions").fit({"a": array}).transform_file(array, "a", "x.npy")
RidgeCca(m="auto").fit({"a": array, "b": array}).transform(tensor, "a").mean()
to_b = Translation("affine", ridge="auto", solver="gradient").fit(X=array, y=tensor)
score: float = to_b.score(array, array)
Translation.load("x.safetensors").inverse_transform(tensor).cpu()
InverseRelative(delta=0.5).set_params(ridge=0.1).fit_transform(array, array).astype("float64")
GridSearchCV(Translation("linear"), {"ridge": [0.0, 0.1]}).fit(array, array)
Whitening.fit(array, eps="auto")(array).sum()
AnchorSet([0, 1], [[1.0, 0.0], [0.0, 1.0]]).mix(tensor).cpu()
row: torch.Tensor = files[0]

# What is wrong.
relrep_exp.RelativSpace()  # wrong
RelativeSpace(m="ten")  # wrong
RelativeSpace(anchor="random")  # wrong
RelativeSpace(standardise="x")  # wrong
RelativeSpace(shrinkage="automatic")  # wrong
space.fit([array, array])  # wrong
space.fit({"a": None})  # wrong
space.transform(array)  # wrong
space.transform(None, "a")  # wrong
space.transfrom(array, "a")  # wrong
space.transform(array, "a").cpu()  # wrong
space.transform(tensor, "a").astype("float64")  # wrong
Consensus(feature=10)  # wrong
Consensus(ridge="best")  # wrong
shared.join("c")  # wrong
shared.leave(3)  # wrong
Gpa("centre")  # wrong
RidgeCca(ridge=None)  # wrong
Translation("orto")  # wrong
Translation(solver="sgd")  # wrong
Translation("ortho", "standard")  # wrong
to_b.fit(array)  # wrong
to_b.transform(array, array)  # wrong
to_b.predict(array)  # wrong
to_b.score(array)  # wrong
to_b.transform(array).cpu()  # wrong
InverseRelative(deltas=0.5)  # wrong
ParamSettings(epoch=3)  # wrong
ParamSettings(start="zero")  # wrong
Whitening.fit(array, eps="none")  # wrong
AnchorSet([0, 1])  # wrong
FileRows.open(3)  # wrong
