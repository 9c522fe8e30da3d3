"""conf/zoo/distorted: encoders that are known deformations of made-up points."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from relrep_exp.config.views import POINT
from relrep_exp.store import versions

if TYPE_CHECKING:
    from relrep_exp.config.schema import DataConfig, DistortedEncoderConfig, DistortedZoo
    from relrep_exp.encoders.encoder import Encoder, EncoderSource


def sources(zoo: DistortedZoo, data: DataConfig) -> dict[str, EncoderSource]:
    """The zoo's encoders by name, for points of the data's dimension."""
    dim = getattr(data, "dim", 0)  # other data than points are refused before anything is loaded
    return {name: DistortedSource(config, dim) for name, config in zoo.encoders.items()}


@dataclass(frozen=True)
class DistortedSource:
    """One deformation.

    Attributes:
        config: what it does to points.
        dim: d, that of the points.
    """

    config: DistortedEncoderConfig
    dim: int

    @property
    def view(self) -> str:
        """Points."""
        return POINT

    def identity(self) -> dict[str, Any]:
        """Its settings; the dimension is the samples'."""
        return {"encoder": asdict(self.config), "version": versions.DISTORTED}

    def load(self) -> Encoder:
        """The encoder."""
        from relrep_exp.encoders.distorted_encoder import DistortedEncoder

        return DistortedEncoder(self.config, self.dim).eval()
