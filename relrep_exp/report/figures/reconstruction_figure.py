"""Draw Figure 5: images drawn again by each method, and the latent space that they were drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import rc_context

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, Drawing, Rows, blank_figure, hues, pixels
from relrep_exp.report.tables.measures import mean_of
from relrep_exp.report.tables.points import Point, view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relrep_exp.config.schema import ExperimentConfig

_COLUMNS = ("panel", "setting", "method", "decoder_of", "encoder", "mse", "ssim", "x", "y", "label")
_CLOUD_ROWS = 6  # of a strip's height that the plot of the latents takes


class Strip(NamedTuple):
    """One row of images.

    Attributes:
        name: what is said beside it.
        picture: base 64 of the PNG.
        numbers: method, the decoder's encoder, the encoder that is read, MSE and SSIM, for the CSV.
    """

    name: str
    picture: str
    numbers: tuple[Any, ...]


def reconstructions_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Draw a block for each value of the experiment's axis: rows of images, and the test encoder's latents.

    The pictures are those of the lowest seed; the numbers beside them are means over seeds and over the whole
    test set.

    Raises:
        UserError: no run has images in its record.
    """
    points = [point for point in points if view_of(point.record, "reconstructions")]
    if not points:
        raise user_error("no record holds images", "use task=mnist_ae")
    blocks: dict[str, list[Point]] = {}
    for place in dict.fromkeys(point.at.get(experiment.x or "") for point in points):
        name = (experiment.x or "").split(".")[-1]
        said = f"{place:g}" if isinstance(place, int | float) else str(place)
        here = [point for point in points if point.at.get(experiment.x or "") == place]
        title = experiment.title if place is None else f"{name} {said}"
        blocks[title] = sorted(here, key=lambda point: point.at.get("seed", 0))
    strips = {title: _strips(members) for title, members in blocks.items()}
    tall = max(map(len, strips.values()))
    rows: Rows = []
    with rc_context(RC):
        figure = blank_figure(5.4 * len(blocks), 0.42 * tall + 2.6)
        parts = figure.subfigures(1, len(blocks), squeeze=False)[0]
        for part, (title, members) in zip(parts, blocks.items(), strict=True):
            part.suptitle(title)
            grid = part.add_gridspec(tall + _CLOUD_ROWS, 2, width_ratios=(2, 5))
            count = _view(members[0], "reconstructions")["count"]
            for number, strip in enumerate(strips[title]):
                beside = part.add_subplot(grid[number, 0])
                beside.set_axis_off()
                right: dict[str, Any] = {"ha": "right", "va": "center", "transform": beside.transAxes}
                beside.text(1.0, 0.5, strip.name, fontsize=7, **right)
                _draw_strip(part.add_subplot(grid[number, 1]), strip.picture, count)
                rows.append(("images", title, *strip.numbers, "", "", ""))
            cloud = _view(members[0], "latents")
            std = np.asarray(cloud["std"])
            spectrum = part.add_subplot(grid[tall:, 0])  # how far the latents spread, against the first axis
            spectrum.semilogy(np.arange(1, len(std) + 1), std / std[0], color="0.2")
            spectrum.set(xlabel="principal axis", title="spread of latents", ylim=(2e-4, 2))
            _draw_cloud(part.add_subplot(grid[tall:, 1]), cloud)
            of = (title, "", "", cloud["encoder"], "", "")
            found = zip(cloud["points"], cloud["labels"], strict=True)
            rows += [("latents", *of, x, y, label) for (x, y), label in found]
            rows += [("spread", *of, axis, spread, "") for axis, spread in enumerate(cloud["std"], start=1)]
    return Drawing(figure, _COLUMNS, rows)


def _strips(points: Sequence[Point]) -> list[Strip]:
    """List what all methods share, once; then for each method its own decoder's images and the stitched."""
    first = _view(points[0], "reconstructions")
    images, target = first["images"], first["target"]
    strips = [Strip("original", images["original"], ("", "", target, "", ""))]
    if "autoencoder" in images:
        mse = _mean(points[:1], target, target, "autoencoder_mse")
        told = f"autoencoder {target}\nMSE {mse:.4f}"
        strips.append(Strip(told, images["autoencoder"], ("autoencoder", target, target, mse, "")))
    for method in dict.fromkeys(point.method for point in points):
        runs = [point for point in points if point.method == method]
        view = _view(runs[0], "reconstructions")
        source, target, images = view["source"], view["target"], view["images"]
        own = _mean(runs, source, target, "own_mse")
        told = f"{method}\n{source} → {source}, MSE {own:.4f}"
        strips.append(Strip(told, images["own"], (method, source, source, own, "")))
        if source != target:
            mse, ssim = (_mean(runs, source, target, metric) for metric in ("mse", "ssim"))
            told = f"{method}, stitched\n{target} → {source}, MSE {mse:.4f}"
            strips.append(Strip(told, images["stitched"], (method, source, target, mse, ssim)))
    return strips


def _mean(points: Sequence[Point], *number: str) -> float:
    """Average over the runs one number: (source, target, metric)."""
    rows = [row for point in points for row in point.record.rows]
    return mean_of([row.value for row in rows if (row.source, row.target, row.metric) == number])


def _view(point: Point, kind: str) -> dict[str, Any]:
    """Find the record's view of that kind, which the point is known to have."""
    return view_of(point.record, kind) or {}


def _draw_strip(axes: Axes, picture: str, count: int) -> None:
    """Draw the images with a little space between them."""
    images = np.split(pixels(picture), count, axis=1)
    gap = np.full_like(images[0][:, : max(1, images[0].shape[1] // 8)], 255)
    spaced = np.concatenate([part for image in images for part in (image, gap)][:-1], axis=1)
    axes.imshow(spaced, cmap="gray", vmin=0, vmax=255, aspect="equal", interpolation="nearest")
    axes.set_axis_off()


def _draw_cloud(axes: Axes, view: Mapping[str, Any]) -> None:
    """Draw test latents along two principal axes, at one scale, so that a cigar looks like one."""
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
