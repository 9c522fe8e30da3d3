"""The same few labelled images in every format."""

import gzip
import io
import json
import struct

import numpy as np
import reading as sources
from PIL import Image

from relrep_exp.config.schema import ImagesData
from relrep_exp.config.schema.types import IMAGE

TRAIN, TEST = 9, 5
rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (TRAIN + TEST, 6, 6, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2] * 5)[: TRAIN + TEST]
ANIMALS = ["ant", "bee", "cat"]


def config(root=None, **more):
    values = {"kind": "images", "name": "tiny", "root": root and str(root), "image": "img", **more}
    return ImagesData(**values)


def load(*args, **more):
    return sources.load(config(*args, **more), [IMAGE], True)


def view(*args, **more):
    return load(*args, **more).views[IMAGE]


def identity(*args, **more):
    return sources.identity(config(*args, **more), [IMAGE], True)[IMAGE]


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_idx(folder, pixels=PIXELS[..., 0], labels=LABELS, packed=True):
    """MNIST's four files."""
    folder.mkdir(exist_ok=True)
    parts = {"train": slice(TRAIN), "t10k": slice(TRAIN, None)}
    for split, rows in parts.items():
        for kind, x in (("images-idx3", pixels[rows]), ("labels-idx1", labels[rows])):
            x = x.astype(np.uint8)
            raw = bytes([0, 0, 8, x.ndim]) + struct.pack(f">{x.ndim}I", *x.shape) + x.tobytes()
            name = f"{split}-{kind}-ubyte"
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(raw) if packed else raw)
    return folder


def write_hub(folder, subset="tiny"):
    """Parquet as the hub has it: encoded images and named classes, the training split in two files."""
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageFeature

    features = Features({"img": ImageFeature(), "label": ClassLabel(names=ANIMALS)})
    pieces = {
        "train-00000-of-00002": slice(4),
        "train-00001-of-00002": slice(4, TRAIN),
        "test-00000-of-00001": slice(TRAIN, None),
    }
    (folder / subset).mkdir(parents=True, exist_ok=True)
    for name, rows in pieces.items():
        images = [{"bytes": png(x), "path": None} for x in PIXELS[rows]]
        table = Dataset.from_dict({"img": images, "label": LABELS[rows].tolist()}, features=features)
        table.to_parquet(folder / subset / f"{name}.parquet")
    return folder


def write_pngs(folder):
    """The images as files; their names say where they belong."""
    (folder / "pixels").mkdir(parents=True)
    for row, x in enumerate(PIXELS):
        Image.fromarray(x).save(folder / "pixels" / f"{row:02}.png")
    return [f"pixels/{row:02}.png" for row in range(len(PIXELS))]


def write_csv(folder, suffix=".csv", separator=","):
    paths = write_pngs(folder)
    for split, rows in {"train": range(TRAIN), "test": range(TRAIN, TRAIN + TEST)}.items():
        cells = [("img", "label"), *((paths[row], ANIMALS[LABELS[row]]) for row in rows)]
        (folder / f"{split}{suffix}").write_text("".join(separator.join(row) + "\n" for row in cells))
    return folder


def write_tsv(folder):
    return write_csv(folder, ".tsv", "\t")


def write_jsonl(folder):
    paths = write_pngs(folder)
    for split, rows in {"train": range(TRAIN), "test": range(TRAIN, TRAIN + TEST)}.items():
        lines = [json.dumps({"img": paths[row], "label": 10 * int(LABELS[row])}) for row in rows]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def write_folders(folder):
    """One folder a class; rows take turns through the classes, which is the order of LABELS."""
    for row, x in enumerate(PIXELS):
        split = "train" if row < TRAIN else "test"
        place = folder / split / ANIMALS[LABELS[row]]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(place / f"{row:02}.png")
    return folder


FORMATS = {
    "parquet": write_hub,
    "csv": write_csv,
    "tsv": write_tsv,
    "jsonl": write_jsonl,
    "folders": write_folders,
}
