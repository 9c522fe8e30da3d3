"""Figure 5: images drawn again by each method, and the latent space that they were drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, Drawing, blank_figure, hues, pixels
from relrep_exp.report.tables.points import Point, view_of
from relrep_exp.report.tables.table import mean_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from relrep_exp.config.schema import ExperimentConfig

_COLUMNS = ("panel", "setting", "method", "decoder_of", "encoder", "mse", "ssim", "x", "y", "label")
_CLOUD_ROWS = 6  # of a strip's height that the plot of the latents takes


@dataclass(frozen=True)
class Strip:
    """One row of images.

    Attributes:
        name: what is said beside it.
        picture: base 64 of the PNG.
        count: images in it.
        cells: method, the decoder's encoder, the encoder that is read, MSE and SSIM, for the CSV.
    """

    name: str
    picture: str
    count: int
    cells: tuple[Any, ...]


def reconstructions_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """A block for each value of the experiment's axis: rows of images, and the latents of the test encoder.

    The pictures are those of the lowest seed; the numbers beside them are means over seeds and over the whole
    test set.

    Raises:
        UserError: no run has images in its record.
    """
    blocks = _blocks(experiment, [point for point in points if view_of(point.record, "reconstructions")])
    if not blocks:
        raise user_error("no record holds images", "use task=mnist_ae")
    rows: list[tuple[Any, ...]] = []
    with rc_context(RC):
        strips = {title: _strips(members) for title, members in blocks.items()}
        tall = max(len(found) for found in strips.values())
        figure = blank_figure(5.4 * len(blocks), 0.42 * tall + 2.6)
        for part, (title, members) in zip(_parts(figure, len(blocks)), blocks.items(), strict=True):
            part.suptitle(title)
            grid = part.add_gridspec(tall + _CLOUD_ROWS, 2, width_ratios=(2, 5))
            for number, strip in enumerate(strips[title]):
                _name_strip(part.add_subplot(grid[number, 0]), strip)
                _draw_strip(part.add_subplot(grid[number, 1]), strip)
            cloud = _view(members[0], "latents")
            _draw_spectrum(part.add_subplot(grid[tall:, 0]), cloud)
            _draw_cloud(part.add_subplot(grid[tall:, 1]), cloud)
            rows += [("images", title, *strip.cells, "", "", "") for strip in strips[title]]
            rows += _cloud_rows(title, cloud)
    return Drawing(figure, _COLUMNS, rows)


def _parts(figure: Figure, count: int) -> Sequence[SubFigure]:
    found = figure.subfigures(1, count, squeeze=False)
    return list(found[0])


def _blocks(experiment: ExperimentConfig, points: Sequence[Point]) -> dict[str, list[Point]]:
    """The points at each value of the experiment's axis, by what is said of it, the lowest seed first."""
    blocks: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda p: p.at.get("seed", 0)):
        value = point.at.get(experiment.x or "")
        name = (experiment.x or "").split(".")[-1]
        said = f"{value:g}" if isinstance(value, int | float) else str(value)
        title = experiment.title if value is None else f"{name} {said}"
        blocks.setdefault(title, []).append(point)
    return dict(sorted(blocks.items(), key=lambda item: list(points).index(item[1][0])))


def _strips(points: Sequence[Point]) -> list[Strip]:
    """What all methods share, once; then for each method its own decoder's images and the stitched."""
    first = _view(points[0], "reconstructions")
    images, target = first["images"], first["target"]
    count = first["count"]
    strips = [Strip("original", images["original"], count, ("", "", target, "", ""))]
    if "autoencoder" in images:
        mse = _mean(points[:1], target, target, "autoencoder_mse")
        cells = ("autoencoder", target, target, mse, "")
        strips.append(Strip(f"autoencoder {target}\nMSE {mse:.4f}", images["autoencoder"], count, cells))
    for method in dict.fromkeys(point.method for point in points):
        strips += _of_method(method, [point for point in points if point.method == method])
    return strips


def _of_method(method: str, points: Sequence[Point]) -> list[Strip]:
    view = _view(points[0], "reconstructions")
    source, target, images = view["source"], view["target"], view["images"]
    own = _mean(points, source, target, "own_mse")
    mse, ssim = (_mean(points, source, target, metric) for metric in ("mse", "ssim"))
    said = f"{method}\n{source} → {source}, MSE {own:.4f}"
    strips = [Strip(said, images["own"], view["count"], (method, source, source, own, ""))]
    if source != target:
        name = f"{method}, stitched\n{target} → {source}, MSE {mse:.4f}"
        strips.append(Strip(name, images["stitched"], view["count"], (method, source, target, mse, ssim)))
    return strips


def _mean(points: Sequence[Point], source: str, target: str, metric: str) -> float:
    """Mean over the runs of one number of a pair."""
    pair = (source, target, metric)
    found = [
        row.value for p in points for row in p.record.rows if (row.source, row.target, row.metric) == pair
    ]
    return mean_of(found)


def _view(point: Point, kind: str) -> dict[str, Any]:
    """The record's view of that kind, which the point is known to have."""
    return view_of(point.record, kind) or {}


def _name_strip(axes: Axes, strip: Strip) -> None:
    axes.set_axis_off()
    axes.text(1.0, 0.5, strip.name, ha="right", va="center", fontsize=7, transform=axes.transAxes)


def _draw_strip(axes: Axes, strip: Strip) -> None:
    """The images with a little space between them."""
    images = np.split(pixels(strip.picture), strip.count, axis=1)
    gap = np.full_like(images[0][:, : max(1, images[0].shape[1] // 8)], 255)
    spaced = np.concatenate([part for image in images for part in (image, gap)][:-1], axis=1)
    axes.imshow(spaced, cmap="gray", vmin=0, vmax=255, aspect="equal", interpolation="nearest")
    axes.set_axis_off()


def _draw_spectrum(axes: Axes, view: Mapping[str, Any]) -> None:
    """How far the latents spread along each principal axis, against the first."""
    std = np.asarray(view["std"])
    axes.semilogy(np.arange(1, len(std) + 1), std / std[0], color="0.2")
    axes.set(xlabel="principal axis", title="spread of latents", ylim=(2e-4, 2))


def _draw_cloud(axes: Axes, view: Mapping[str, Any]) -> None:
    """Test latents along two principal axes, at one scale, so that a cigar looks like one."""
    points, labels = np.asarray(view["points"]), np.asarray(view["labels"])
    names = sorted(set(view["labels"]))
    for name, colour in zip(names, hues(len(names)), strict=True):
        members = points[labels == name]
        axes.scatter(members[:, 0], members[:, 1], s=5, color=colour, linewidths=0, label=str(name))
    first, second = view["axes"]
    axes.set(
        title=f"latents of {view['encoder']}",
        xlabel=f"principal axis {first} of {len(view['std'])}",
        ylabel=f"axis {second}",
        yticks=[],  # the same scale as along the first
        aspect="equal",
    )


def _cloud_rows(title: str, view: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [
        ("latents", title, "", "", view["encoder"], "", "", x, y, label)
        for (x, y), label in zip(view["points"], view["labels"], strict=True)
    ] + [
        ("spread", title, "", "", view["encoder"], "", "", axis, std, "")
        for axis, std in enumerate(view["std"], start=1)
    ]
