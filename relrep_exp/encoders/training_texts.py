"""The training texts that a zoo of local text encoders is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relrep_exp.data.sources import Dataset
from relrep_exp.errors import user_error

if TYPE_CHECKING:
    from torch import Tensor

    from relrep_exp.data.samples import View


class TrainingTexts:
    """The task's own training split in the languages of a zoo.

    All languages are read together: which sentences of a parallel data set there are may depend on them.

    Args:
        data: the task's data.
        languages: those of all encoders of the zoo.

    Raises:
        UserError: the data are no texts.
    """

    def __init__(self, data: Dataset, languages: list[str]):
        if "texts" not in data.config.holds:
            what = f"data={data.config.name} has no texts, which this zoo's encoders are made from"
            raise user_error(what, "use texts, such as data=template_reviews, or a zoo of image encoders")
        self.data, self.languages = data, sorted(set(languages))

    def identity(self, language: str) -> dict[str, Any]:
        """Tell a language's texts, labels and split from others.

        Raises:
            UserError: files are missing, or there is no such language.
        """
        return self.data.identity(self.languages)[language]

    def texts(self, language: str) -> list[str]:
        """List the training texts of one language."""
        view = self._view(language)
        return [str(view.samples[row]) for row in view.is_train.nonzero()[:, 0].tolist()]

    def labels(self, language: str) -> Tensor | None:
        """List their classes, int64 [N]; None if there are none."""
        view = self._view(language)
        return None if view.labels is None else view.labels[view.is_train.nonzero()[:, 0]]

    def _view(self, language: str) -> View:
        return self.data.load(self.languages).views[language]
