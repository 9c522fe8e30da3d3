"""Spaces as files: tensors and a header of JSON in one safetensors file, of which nothing is executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor


def _plain(number: Any) -> Any:
    """Make a number of Python's of numpy's, as a parameter may be."""
    return number.item()


@dataclass(frozen=True)
class FileFormat:
    """One kind of file.

    Attributes:
        name: with its version, as it stands in the file.
        key: under which the header stands there.
        what: it holds, for messages, e.g. `a relative space`.
    """

    name: str
    key: str
    what: str

    def write(self, path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Write a file; it is replaced if it exists."""
        from safetensors.torch import save_file

        held = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
        save_file(held, path, {"format": self.name, self.key: json.dumps(header, default=_plain)})

    def read(self, path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Read tensors and header.

        Raises:
            ValueError: the file is of another kind.
        """
        from safetensors import SafetensorError, safe_open

        refused = f"{path} is not {self.what} ({self.name})"
        try:
            opened = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise ValueError(f"{refused}: {error}") from error
        with opened as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != self.name:
                raise ValueError(refused)
            header: dict[str, Any] = json.loads(metadata[self.key])
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118  # no mapping
