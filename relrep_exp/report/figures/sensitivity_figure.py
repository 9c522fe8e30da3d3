"""Draw how much each setting moves the result: one small panel for each varied key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.lines import Line2D

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, Drawing, Rows, blank_figure, is_wide, marked_lines
from relrep_exp.report.tables.effects import BASE, Effect, effects_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point

    Style = Mapping[str, Any]

_PANELS_PER_ROW = 5
_COLUMNS = ("key", "method", "value", "metric", "change", "std", "n", "default")
_OUTLIER = 4.0  # changes beyond this many times the usual one of all panels are cut off


def sensitivity_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Draw the change against the base over the values of each key, the keys that move most first.

    Error bars are the std over seeds of the difference to the same seed's base, the shaded band is the std of
    the base itself. A hollow marker is the method's own setting. Changes far off the scale stand at its edge,
    with their value.

    Raises:
        UserError: no run has a changed setting and its base.
        ValueError: the runs differ in more than method, seed and one changed key.
    """
    effects = effects_of(experiment, points)
    bases = {effect.method: effect for effect in effects if effect.key == BASE}
    panels: dict[str, list[Effect]] = {}
    for effect in effects:
        if effect.cell and effect.cell.change is not None and math.isfinite(effect.cell.change):
            panels.setdefault(effect.key, []).append(effect)
    if not panels:
        raise user_error("no run with a changed setting has its base beside it", "run the whole experiment")
    panels = dict(sorted(panels.items(), key=lambda item: -max(abs(_change(e)) for e in item[1])))
    drawn = [effect for members in panels.values() for effect in members]
    limit = _limit(drawn, bases)
    styles = dict(zip(bases, marked_lines(len(bases)), strict=True))
    height, width = math.ceil(len(panels) / _PANELS_PER_ROW), min(len(panels), _PANELS_PER_ROW)
    measures = list(dict.fromkeys(base.measure for base in bases.values()))
    with rc_context(RC):
        figure = blank_figure(max(4.5, 2.3 * width), 2.15 * height + 1.0)
        figure.suptitle(experiment.title, fontsize=10)
        for number, (key, members) in enumerate(panels.items()):
            panel = figure.add_subplot(height, width, number + 1)
            panel.set(title=key, ylim=(-limit, limit))
            _draw_panel(panel, members, bases, styles, limit)
            panel.tick_params(labelleft=number % width == 0)
        label = measures[0].label if len(measures) == 1 else "each method's measure"
        points_said = ", in points" if all(measure.percent for measure in measures) else ""
        figure.supylabel(f"change of {label}{points_said}", fontsize=8)
        handles = []
        for method, base in bases.items():
            if base.cell is not None:
                unit = f" {base.measure.label}" if len(measures) > 1 else ""
                told = f"{method}:{unit} {base.measure.spread(base.cell.mean, base.cell.std)}"
                handles.append(Line2D([], [], label=told, **styles[method]))
        own: dict[str, Any] = {"marker": "o", "color": "0.3", "markerfacecolor": "white", "linestyle": ""}
        handles.append(Line2D([], [], label="own setting", **own))
        note = "band: std of the base over seeds; bars: std of the change over seeds"
        if any(abs(_change(effect)) > limit for effect in drawn):
            note += "; arrows: off the scale, with their value"
        place: dict[str, Any] = {"loc": "outside lower center", "ncols": min(len(handles), 4)}
        figure.legend(handles=handles, title=note, title_fontsize=7.5, **place)
    rows: Rows = []
    for effect in drawn:
        assert effect.cell is not None
        numbers = (effect.cell.change, effect.spread, effect.seeds, int(effect.cell.default))
        rows.append((effect.key, effect.method, effect.value, effect.measure.name, *numbers))
    return Drawing(figure, _COLUMNS, rows)


def _change(effect: Effect) -> float:
    """Take the mean change as drawn: in points where the measure is a percentage."""
    return effect.measure.factor * (effect.cell.change or 0.0) if effect.cell else 0.0


def _spread(effect: Effect) -> float:
    return 0.0 if math.isnan(effect.spread) else effect.measure.factor * effect.spread


def _limit(effects: Sequence[Effect], bases: Mapping[str, Effect]) -> float:
    """Find half the height of the common scale: the largest change, unless a few are far beyond the rest."""
    sizes = [abs(_change(effect)) + _spread(effect) for effect in effects]
    usual = max(float(np.percentile(sizes, 75)), *(2 * _spread(base) for base in bases.values()))
    return 1.12 * min(max(sizes), _OUTLIER * usual) or 1.0


def _draw_panel(
    panel: Axes,
    effects: Sequence[Effect],
    bases: Mapping[str, Effect],
    styles: Mapping[str, Style],
    limit: float,
) -> None:
    """Draw the changes of one key: a line for each method, side by side at each value."""
    values = {repr(effect.value): effect.value for effect in effects}
    wide = is_wide(list(values.values()))
    places = {text: math.log10(v) if wide else float(n) for n, (text, v) in enumerate(values.items())}
    step = (max(places.values()) - min(places.values())) / max(len(places) - 1, 1) or 1.0
    panel.margins(x=0.12)
    ticks = [f"{value:g}" if isinstance(value, float) else str(value) for value in values.values()]
    panel.set_xticks(list(places.values()), ticks, rotation=30, ha="right", fontsize=7)
    panel.axhline(0, color="0.4", linewidth=0.6, zorder=1)
    methods = list(dict.fromkeys(effect.method for effect in effects))
    for number, method in enumerate(methods):
        band, style = _spread(bases[method]), styles[method]
        panel.axhspan(-band, band, color=style["color"], alpha=0.1, linewidth=0, zorder=0)
        shift = 0.12 * step * (number - (len(methods) - 1) / 2)  # so that error bars stand side by side
        own = [(places[repr(e.value)] + shift, e) for e in effects if e.method == method]
        along = sorted((x, _change(effect)) for x, effect in own)
        panel.plot(*zip(*along, strict=True), **{**style, "marker": "", "linewidth": 0.9, "alpha": 0.6})
        for x, effect in own:
            if abs(_change(effect)) > limit:
                _draw_outlier(panel, x, effect, limit, style, number)
                continue
            default = effect.cell is not None and effect.cell.default
            look: dict[str, Any] = {
                "markerfacecolor": "white" if default else style["color"],
                "zorder": 3 + default,
            }
            look |= {"color": style["color"], "marker": style["marker"], "markersize": 6 if default else 4}
            panel.errorbar(x, _change(effect), _spread(effect), elinewidth=0.8, **look)


def _draw_outlier(panel: Axes, x: float, effect: Effect, limit: float, style: Style, number: int) -> None:
    """Draw an arrow at the edge with the value that is beyond it; several methods' stand in a column."""
    change, colour = _change(effect), style["color"]
    up, edge = change > 0, math.copysign(limit, change)
    panel.plot(x, 0.95 * edge, marker="^" if up else "v", color=colour, markersize=5, zorder=4)
    away = (8 + 7.5 * number) * (-1 if up else 1)
    look: dict[str, Any] = {"fontsize": 6.5, "color": colour, "ha": "center", "va": "top" if up else "bottom"}
    text = f"{change:+.1f}" if effect.measure.percent else f"{change:+.2f}"
    panel.annotate(text, (x, edge), xytext=(0, away), textcoords="offset points", **look)
