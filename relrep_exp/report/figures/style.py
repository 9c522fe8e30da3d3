"""Give all figures one look, readable in grey, the same bytes every time; and save them."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from relrep_exp.store.files import write_atomic

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so a figure looks the same on every machine
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.3,
    "image.cmap": "cividis",
    "svg.hashsalt": "relrep_exp",
}
# Paul Tol's "muted" scheme and black: ten hues that the common colour-vision deficiencies keep apart.
_HUES = (
    "#332288",
    "#CC6677",
    "#117733",
    "#88CCEE",
    "#882255",
    "#DDCC77",
    "#44AA99",
    "#AA4499",
    "#999933",
    "#000000",
)
_PALE = ("#88CCEE", "#DDCC77")  # too light for a thin line
_DPI = 150
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Drawing:
    """A figure and what it draws.

    Attributes:
        figure: ready to be saved.
        columns: the names of the numbers.
        rows: the numbers, one tuple a row: the CSV beside the figure.
    """

    figure: Figure
    columns: tuple[str, ...]
    rows: Rows

    def save(self, folder: Path, name: str) -> None:
        """Write `name.png`, `name.svg`, the same bytes every time, and `name.csv` with the numbers drawn."""
        # matplotlib signs a file with its version or the date unless the entry is set to None.
        unsigned: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}
        for kind, metadata in unsigned.items():
            buffer = io.BytesIO()
            with rc_context(RC):
                self.figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
            write_atomic(folder / f"{name}.{kind}", buffer.getvalue())
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)  # of a float its repr, so in full precision
        write_atomic(folder / f"{name}.csv", stream.getvalue().encode())


def hues(count: int) -> list[str]:
    """Choose that many colours; they repeat after ten."""
    return list(islice(cycle(_HUES), count))


def marked_lines(count: int) -> list[dict[str, Any]]:
    """Choose that many lines, told apart in grey by dashes and markers, of which there are unlike many."""
    dark = cycle(hue for hue in _HUES if hue not in _PALE)
    looks = zip(range(count), dark, cycle(_DASHES), cycle(_MARKERS))
    return [
        {"color": hue, "linestyle": dash, "marker": marker, "markersize": 4.5}
        for _, hue, dash, marker in looks
    ]


def is_wide(values: Sequence[Any]) -> bool:
    """Tell whether these are positive numbers that span more than a decade."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers and len(values) > 1 and min(values) > 0 and max(values) > 10 * min(values)


def arrow(better: int) -> str:
    """Point in the direction that is better, behind a measure's name."""
    return {1: " ↑", -1: " ↓"}.get(better, "")


def blank_figure(width: float, height: float) -> Figure:
    """Make a figure in inches on the Agg canvas; no window system, no global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def pixels(strip: str) -> np.ndarray[Any, Any]:
    """Read the uint8 pixels [H, W] or [H, W, 3] of a PNG in base 64."""
    with Image.open(io.BytesIO(base64.b64decode(strip))) as image:
        return np.asarray(image)
