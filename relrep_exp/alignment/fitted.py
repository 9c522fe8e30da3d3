"""The error of what is asked before `fit`."""

from __future__ import annotations

from sklearn import exceptions


class NotFittedError(exceptions.NotFittedError, RuntimeError):  # type: ignore[misc]  # untyped
    """Nothing is fitted yet: scikit-learn's error (a ValueError and AttributeError), and a RuntimeError."""
