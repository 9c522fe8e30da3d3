"""conf/zoo/vision: image encoders of timm, before they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from relrep_exp.config.schema import RuntimeConfig, TimmEncoderConfig, TimmZoo
from relrep_exp.config.schema.zoo import Dtype
from relrep_exp.config.views import IMAGE
from relrep_exp.data.manifest import manifest
from relrep_exp.encoders import pretrained
from relrep_exp.encoders.vision_folder import CONFIG, architecture, problems, weights
from relrep_exp.errors import UserError
from relrep_exp.store import versions

if TYPE_CHECKING:
    from relrep_exp.encoders.encoder import EncoderSource
    from relrep_exp.encoders.vision_model import TimmEncoder


@dataclass(frozen=True)
class VisionSource:
    """One encoder of the zoo.

    Attributes:
        key: where the configuration names it, for messages.
        config: which model.
        dtype: of the weights.
        resize: worker = timm's own transform; device = images are resized where the model is.
        offline: whether the hub must not be asked.
    """

    key: str
    config: TimmEncoderConfig
    dtype: Dtype
    resize: Literal["worker", "device"]
    offline: bool
    view: str = IMAGE

    def identity(self) -> dict[str, Any]:
        """The weights, by the hub's commit or the digest of a folder's files, and how images reach them.

        The transform is the one that the files name; the classifier is always left out.

        Raises:
            UserError: the folder lacks files, or the hub's commit is not known.
        """
        how = {"classes": 0, "dtype": self.dtype, "resize": self.resize}
        return {**self._weights(), **how, "version": versions.VISION_ENCODERS}

    def load(self) -> TimmEncoder:
        """The encoder on the CPU.

        Raises:
            UserError: its files are missing, damaged or not what the configuration says.
        """
        from relrep_exp.encoders import vision_loading

        if self.config.path is None:  # before a download of what timm could not build
            vision_loading.check_known(architecture(self.config.model), f"{self.key}.model")
        return vision_loading.load(self._folder(), self.config, self.dtype, self.resize, self.key)

    def _weights(self) -> dict[str, Any]:
        if self.config.path is not None:
            if found := problems(self._folder(), self.key):
                raise UserError(found)
            return {"files": manifest(self._folder(), [CONFIG, weights(self._folder())])}
        return pretrained.on_hub(self.key, self.config, self.offline)

    def _folder(self) -> Path:
        return pretrained.folder(self.key, self.config, self.offline)


def sources(zoo: TimmZoo, runtime: RuntimeConfig) -> dict[str, EncoderSource]:
    """The zoo's encoders by name.

    Raises:
        UserError: folders of the user's own lack files: all that is wrong with all of them.
    """
    found: dict[str, EncoderSource] = {}
    lacking = []
    for name, config in zoo.encoders.items():
        key = f"zoo.encoders.{name}"
        found[name] = VisionSource(key, config, zoo.dtype, runtime.resize, runtime.offline)
        if config.path is not None:
            lacking += problems(Path(config.path).expanduser(), key)
    if lacking:
        raise UserError(lacking)
    return found
