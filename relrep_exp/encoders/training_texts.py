"""The training texts that a zoo of local text encoders is made from, read once for all of its encoders."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from relrep_exp.data import sources as data_sources
from relrep_exp.errors import user_error

if TYPE_CHECKING:
    from torch import Tensor

    from relrep_exp.config.schema import DataConfig
    from relrep_exp.data.samples import Samples


class TrainingTexts:
    """The task's own training split in the languages of a zoo.

    All languages are read together: which sentences of a parallel data set there are may depend on them.

    Args:
        data: the task's data.
        languages: those of all encoders of the zoo.
        offline: whether the network must not be used.

    Raises:
        UserError: the data are no texts.
    """

    def __init__(self, data: DataConfig, languages: list[str], offline: bool):
        if data.kind not in data_sources.HOLD["texts"]:
            what = f"data={data.name} has no texts, which this zoo's encoders are made from"
            raise user_error(what, "use texts, such as data=template_reviews, or a zoo of image encoders")
        self.data, self.languages, self.offline = data, sorted(set(languages)), offline

    def __getstate__(self) -> dict[str, Any]:
        """Without the texts: another process reads them when it needs them."""
        return {name: self.__dict__[name] for name in ("data", "languages", "offline")}

    def identity(self, language: str) -> dict[str, Any]:
        """What tells a language's texts, labels and split from others.

        Raises:
            UserError: files are missing, or there is no such language.
        """
        return self._identities[language]

    def texts(self, language: str) -> list[str]:
        """The training texts of one language."""
        samples = self._samples.views[language].samples
        return [str(samples[row]) for row in self._rows(language).tolist()]

    def labels(self, language: str) -> Tensor | None:
        """Their classes, int64 [N]; None if there are none."""
        labels = self._samples.views[language].labels
        return None if labels is None else labels[self._rows(language)]

    def _rows(self, language: str) -> Tensor:
        return self._samples.views[language].is_train.nonzero()[:, 0]

    @cached_property
    def _identities(self) -> Mapping[str, dict[str, Any]]:
        return data_sources.identity(self.data, self.languages, self.offline)

    @cached_property
    def _samples(self) -> Samples:
        return data_sources.load(self.data, self.languages, self.offline)
