"""How much each setting moves the result: one small panel for each varied key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.lines import Line2D

from relrep_exp.errors import user_error
from relrep_exp.report.figures.line_figure import is_wide
from relrep_exp.report.figures.style import RC, Drawing, blank_figure, marked_lines
from relrep_exp.report.tables.effects import BASE, Effect, effects_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point

_PANELS_PER_ROW = 5
_COLUMNS = ("key", "method", "value", "metric", "change", "std", "n", "default")
_OUTLIER = 4.0  # changes beyond this many times the usual one of all panels are cut off
Panels = dict[str, list[Effect]]


def sensitivity_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """The change against the base over the values of each key, the keys that move most first.

    Error bars are the std over seeds of the difference to the same seed's base, the shaded band is the std of
    the base itself. A hollow marker is the method's own setting. Changes far off the scale stand at its edge,
    with their value.

    Raises:
        UserError: no run has a changed setting and its base.
        ValueError: the runs differ in more than method, seed and one changed key.
    """
    effects = effects_of(experiment, points)
    panels = _panels([effect for effect in effects if effect.key != BASE and _change(effect) is not None])
    if not panels:
        raise user_error("no run with a changed setting has its base beside it", "run the whole experiment")
    bases = {effect.method: effect for effect in effects if effect.key == BASE}
    styles = dict(zip(bases, marked_lines(len(bases)), strict=True))
    limit = _limit(panels, bases)
    rows_of_panels = math.ceil(len(panels) / _PANELS_PER_ROW)
    with rc_context(RC):
        width = min(len(panels), _PANELS_PER_ROW)
        figure = blank_figure(max(4.5, 2.3 * width), 2.15 * rows_of_panels + 1.0)
        figure.suptitle(experiment.title, fontsize=10)
        for number, (key, members) in enumerate(panels.items()):
            panel = figure.add_subplot(rows_of_panels, width, number + 1)
            _draw_panel(panel, key, members, bases, styles, limit)
            panel.tick_params(labelleft=number % width == 0)
        figure.supylabel(_unit(bases.values()), fontsize=8)
        _legend(figure, bases, styles, panels, limit)
    return Drawing(figure, _COLUMNS, [_row(effect) for members in panels.values() for effect in members])


def _row(effect: Effect) -> tuple[Any, ...]:
    cell = effect.cell
    assert cell is not None
    numbers = (cell.change, effect.spread, effect.seeds, int(cell.default))
    return effect.key, effect.method, effect.value, effect.measure.name, *numbers


def _panels(effects: Sequence[Effect]) -> Panels:
    """The effects by key, the key with the largest change first."""
    found: Panels = {}
    for effect in effects:
        found.setdefault(effect.key, []).append(effect)
    return dict(sorted(found.items(), key=lambda item: -max(abs(_change(e) or 0.0) for e in item[1])))


def _change(effect: Effect) -> float | None:
    """The mean change as drawn: in points where the measure is a percentage. None where there is none."""
    if effect.cell is None or effect.cell.change is None or not math.isfinite(effect.cell.change):
        return None
    return effect.cell.change * _factor(effect)


def _spread(effect: Effect) -> float:
    return 0.0 if math.isnan(effect.spread) else effect.spread * _factor(effect)


def _factor(effect: Effect) -> float:
    return 100.0 if effect.measure.percent else 1.0


def _limit(panels: Panels, bases: Mapping[str, Effect]) -> float:
    """Half the height of the common scale: the largest change, unless a few are far beyond the rest."""
    sizes = [abs(_change(e) or 0.0) + _spread(e) for members in panels.values() for e in members]
    usual = max(float(np.percentile(sizes, 75)), *(2 * _spread(base) for base in bases.values()))
    largest = max(sizes)
    limit = largest if largest <= _OUTLIER * usual else _OUTLIER * usual
    return 1.12 * limit or 1.0


def _draw_panel(
    panel: Axes,
    key: str,
    effects: Sequence[Effect],
    bases: Mapping[str, Effect],
    styles: Mapping[str, dict[str, Any]],
    limit: float,
) -> None:
    values = list({repr(effect.value): effect.value for effect in effects}.values())
    wide = is_wide(values)
    places = {repr(v): math.log10(v) if wide else float(n) for n, v in enumerate(values)}
    step = (max(places.values()) - min(places.values())) / max(len(places) - 1, 1) or 1.0
    panel.set(title=key, ylim=(-limit, limit))
    panel.margins(x=0.12)
    panel.set_xticks(list(places.values()), [_short(v) for v in values], rotation=30, ha="right", fontsize=7)
    panel.axhline(0, color="0.4", linewidth=0.6, zorder=1)
    methods = list(dict.fromkeys(effect.method for effect in effects))
    for number, method in enumerate(methods):
        band, style = _spread(bases[method]), styles[method]
        panel.axhspan(-band, band, color=style["color"], alpha=0.1, linewidth=0, zorder=0)
        shift = 0.12 * step * (number - (len(methods) - 1) / 2)  # so that error bars stand side by side
        own = [effect for effect in effects if effect.method == method]
        _draw_method(panel, own, [places[repr(e.value)] + shift for e in own], style, limit, number)


def _draw_method(
    panel: Axes,
    effects: Sequence[Effect],
    xs: Sequence[float],
    style: dict[str, Any],
    limit: float,
    number: int,
) -> None:
    """One method's changes, the `number`-th of the panel."""
    order = sorted(range(len(xs)), key=lambda i: xs[i])
    changes = [_change(effect) or 0.0 for effect in effects]
    line = {**style, "marker": "", "linewidth": 0.9, "alpha": 0.6}
    panel.plot([xs[i] for i in order], [changes[i] for i in order], **line)
    for x, change, effect in zip(xs, changes, effects, strict=True):
        if abs(change) > limit:
            text = f"{change:+.1f}" if effect.measure.percent else f"{change:+.2f}"
            _draw_outlier(panel, x, math.copysign(limit, change), text, style["color"], number)
            continue
        own = effect.cell is not None and effect.cell.default
        look: dict[str, Any] = {"markerfacecolor": "white" if own else style["color"], "zorder": 3 + own}
        look |= {"color": style["color"], "marker": style["marker"], "markersize": 6 if own else 4}
        panel.errorbar(x, change, _spread(effect), elinewidth=0.8, **look)


def _draw_outlier(panel: Axes, x: float, edge: float, text: str, colour: str, number: int) -> None:
    """An arrow at the edge with the value that is beyond it; those of several methods stand in a column."""
    up = edge > 0
    panel.plot(x, 0.95 * edge, marker="^" if up else "v", color=colour, markersize=5, zorder=4)
    away = (8 + 7.5 * number) * (-1 if up else 1)
    look: dict[str, Any] = {"fontsize": 6.5, "color": colour, "ha": "center", "va": "top" if up else "bottom"}
    panel.annotate(text, (x, edge), xytext=(0, away), textcoords="offset points", **look)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _unit(bases: Any) -> str:
    measures = list(dict.fromkeys(base.measure for base in bases))
    label = measures[0].label if len(measures) == 1 else "each method's measure"
    return f"change of {label}{', in points' if all(m.percent for m in measures) else ''}"


def _legend(
    figure: Figure,
    bases: Mapping[str, Effect],
    styles: Mapping[str, dict[str, Any]],
    panels: Panels,
    limit: float,
) -> None:
    several = len({base.measure for base in bases.values()}) > 1
    handles = []
    for method, base in bases.items():
        if base.cell is None:
            continue
        unit = f" {base.measure.label}" if several else ""
        spread = "" if math.isnan(base.cell.std) else f" ± {base.measure.text(base.cell.std)}"
        label = f"{method}:{unit} {base.measure.text(base.cell.mean)}{spread}"
        handles.append(Line2D([], [], label=label, **styles[method]))
    own: dict[str, Any] = {"marker": "o", "color": "0.3", "markerfacecolor": "white", "linestyle": ""}
    handles.append(Line2D([], [], label="own setting", **own))
    note = "band: std of the base over seeds; bars: std of the change over seeds"
    if any(abs(_change(e) or 0.0) > limit for members in panels.values() for e in members):
        note += "; arrows: off the scale, with their value"
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 4),
        title=note,
        title_fontsize=7.5,
    )
