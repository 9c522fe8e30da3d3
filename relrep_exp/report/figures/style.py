"""What all figures share: one look, readable in grey, the same bytes every time; and how they are saved."""

from __future__ import annotations

import base64
import csv
import io
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
    rows: list[tuple[Any, ...]]

    def save(self, folder: Path, name: str) -> None:
        """Write the figure, and beside it `name.csv` with the numbers that it draws."""
        save(self.figure, folder, name)
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)  # of a float its repr, so in full precision
        write_atomic(folder / f"{name}.csv", stream.getvalue().encode())


def hues(count: int) -> list[str]:
    """That many colours; they repeat after ten."""
    return list(islice(cycle(_HUES), count))


def line_styles(count: int) -> list[dict[str, Any]]:
    """That many lines, told apart by dashes as well as by colour."""
    dark = cycle(hue for hue in _HUES if hue not in _PALE)
    return [{"color": hue, "linestyle": dash} for _, hue, dash in zip(range(count), dark, cycle(_DASHES))]


def marked_lines(count: int) -> list[dict[str, Any]]:
    """The same with a marker each, so that two lines are told apart in grey where their dashes repeat."""
    marked = zip(line_styles(count), cycle(_MARKERS), strict=False)
    return [{**style, "marker": marker, "markersize": 4.5} for style, marker in marked]


def arrow(better: int) -> str:
    """Behind a measure's name: which direction is better."""
    return {1: " ↑", -1: " ↓"}.get(better, "")


def blank_figure(width: float, height: float) -> Figure:
    """A figure in inches on the Agg canvas; no window system, no global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `name.png` and `name.svg`, each whole or not at all; the same figure gives the same bytes."""
    # matplotlib signs a file with its version or the date unless the entry is set to None.
    unsigned: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}
    paths = []
    for kind, metadata in unsigned.items():
        buffer = io.BytesIO()
        with rc_context(RC):
            figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
        paths.append(folder / f"{name}.{kind}")
        write_atomic(paths[-1], buffer.getvalue())
    return paths[0], paths[1]


def pixels(strip: str) -> np.ndarray[Any, Any]:
    """The uint8 pixels [H, W] or [H, W, 3] of a PNG in base 64."""
    with Image.open(io.BytesIO(base64.b64decode(strip))) as image:
        return np.asarray(image)
