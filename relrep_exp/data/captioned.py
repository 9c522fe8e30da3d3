"""Images with texts of the user's own, as N24News: tables of text, path of the image and label.

`data.root` holds a table for each split, `train.jsonl` and `test.jsonl` say (CSV, TSV, JSON lines, a JSON
list or Parquet), and the image files that they name. Row n is the same sample in both views.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data import image_files, layouts, tables
from relrep_exp.data.image_samples import FileImages
from relrep_exp.data.images import class_numbers
from relrep_exp.data.manifest import manifest, names_below, settings
from relrep_exp.data.origin import local_folder
from relrep_exp.data.samples import Samples, View, require_views
from relrep_exp.errors import Problem, UserError, every, user_error
from relrep_exp.store.inputs import input_digest

if TYPE_CHECKING:
    from relrep_exp.config.schema import CaptionedData


class Rows(NamedTuple):
    """One split: texts, paths of images relative to the folder, labels as the table spells them."""

    texts: list[str]
    images: list[str]
    labels: list[str]


def identity(config: CaptionedData, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell the settings with the digests of the tables and, of the images, those of all image files.

    Raises:
        UserError: there is no such folder, table or view; every problem.
    """
    _require_views(config, views)
    root = local_folder(config)
    files = every({split: partial(_tables, config, root, split) for split in ("train", "test")})
    digests = {split: [input_digest(path) for path in paths] for split, paths in files.items()}
    texts = {**settings(config), "tables": digests}
    if IMAGE not in views:
        return dict.fromkeys(views, texts)
    images = {**texts, "images": manifest(root, image_files.images_of(names_below(root)))}
    return {view: images if view == IMAGE else texts for view in views}


def load(config: CaptionedData, views: Sequence[str], offline: bool) -> Samples:
    """Read images, texts and labels, the training split first; `data.limit` keeps the first of each split.

    Labels are numbered in sorted order over the whole training split. An image file that cannot be decoded is
    told, or left out, when it is read.

    Raises:
        UserError: tables are damaged, lack a column or name images that do not exist (unless samples that
            cannot be read may be left out), or labels do not fit; every problem.
    """
    import torch

    _require_views(config, views)
    root = local_folder(config)
    splits = every({split: partial(_read, config, root, split) for split in ("train", "test")})
    train, test = splits["train"], splits["test"]
    classes, problems = class_numbers(train.labels, test.labels, config.limit)
    images = [path for part in (train, test) for path in part.images[: config.limit]]
    if IMAGE in views and config.on_error == "raise":
        lost = [path for path in dict.fromkeys(images) if not (root / path).is_file()]
        if lost:
            what = f"{root}: there are no images {tables.some(lost)}"
            remedy = "copy them there, or leave such samples out with data.on_error=skip"
            problems.append(Problem(what, f"{remedy}; data.image_path says where they lie"))
    if problems:
        raise UserError(problems)
    counts = {"train": len(classes.train), "test": len(classes.test)}
    labels = torch.tensor([*classes.train, *classes.test], dtype=torch.int64)
    is_train = torch.arange(len(labels)) < counts["train"]
    texts = [text for part in (train, test) for text in part.texts[: config.limit]]
    samples: dict[str, Any] = {IMAGE: FileImages(root, tuple(images)), config.language: texts}
    notes = {"samples": counts, "classes": list(classes.names)}
    found = {view: View(samples[view], is_train, labels) for view in views}
    return Samples(found, parallel=True, notes=notes)


def _require_views(config: CaptionedData, views: Sequence[str]) -> None:
    require_views(
        views,
        (IMAGE, config.language),
        f"data={config.name} has no view {{view!r}}: it holds images and texts in {config.language!r}",
        f"choose encoders of images or of language={config.language}, or set data.language={{view}}",
    )


def _tables(config: CaptionedData, root: Path, split: str) -> list[Path]:
    return layouts.find(root, layouts.DEFAULT, getattr(config, split), f"data.{split}")


def _read(config: CaptionedData, root: Path, split: str) -> Rows:
    told = dict.fromkeys(config.text, "set data.text=COLUMN, or [COLUMN,COLUMN]")
    told |= {config.image: "set data.image=COLUMN", config.label: "set data.label=COLUMN"}
    table = tables.read(_tables(config, root, split), told)
    cells = table.whole(told)
    images = [config.image_path.replace("{}", cell) for cell in cells[config.image]]
    for row, path in enumerate(images):
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or not parts.parts:
            what = f"{table.place(row)}: the image {path!r} is not inside data.root"
            raise user_error(what, "write paths relative to data.root, with slashes")
    return Rows(tables.joined(cells, config.text), images, cells[config.label])
