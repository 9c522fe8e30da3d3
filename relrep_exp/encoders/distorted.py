"""conf/zoo/distorted: encoders that are known deformations of made-up points."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from relrep_exp.config.schema import Config, DistortedEncoderConfig, DistortedZoo
from relrep_exp.config.schema.types import POINT
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.store import versions


def sources(zoo: DistortedZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of a zoo by name, for points of the data's dimension."""
    dim = getattr(data.config, "dim", 0)  # other data than points are refused before anything is loaded
    return {name: DistortedSource(encoder, dim) for name, encoder in zoo.encoders.items()}


@dataclass(frozen=True)
class DistortedSource(EncoderSource):
    """One deformation.

    Attributes:
        config: what it does to points.
        dim: d, that of the points.
    """

    config: DistortedEncoderConfig
    dim: int

    loader = "relrep_exp.encoders.distorted_encoder:load"

    @property
    def view(self) -> str:
        """Points."""
        return POINT

    def identity(self) -> dict[str, Any]:
        """Tell its settings; the dimension is the samples'."""
        return {"encoder": asdict(self.config), "version": versions.DISTORTED}
