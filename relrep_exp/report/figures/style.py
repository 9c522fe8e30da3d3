"""The one look of all figures: colour-blind safe, readable in grey, the same bytes every time."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
