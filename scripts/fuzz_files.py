"""Malformed files for scripts/fuzz.py and the tests: embeddings, images and checkpoints, each from a seed.

Every maker takes a folder and a `random.Random`, writes below the folder and returns the path.
"""

from __future__ import annotations

import io
import json
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 40


def arrays(rng: random.Random) -> dict[str, Any]:
    """Make good arrays: two encoders, labels and split."""
    draws = np.random.default_rng(rng.getrandbits(32))
    y = np.arange(ROWS) % 4
    made = {name: draws.normal(size=(ROWS, d)).astype("f4") + y[:, None] for name, d in (("a", 5), ("b", 7))}
    return {**made, "labels": y, "is_train": np.arange(ROWS) % 4 != 3}


def _header(shape: object, descr: object = "<f4", **more: object) -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape, **more}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text + b"\n"


def _npz(path: Path, members: dict[str, bytes], packed: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _members(rng: random.Random) -> dict[str, bytes]:
    found = {}
    for name, x in arrays(rng).items():
        stream = io.BytesIO()
        np.save(stream, x)
        found[f"{name}.npy"] = stream.getvalue()
    return found


SHAPES: tuple[object, ...] = (
    (10**15, 10**3),
    (2**63, 2),
    (-1, 5),
    (ROWS, -5),
    (10**100,),
    (ROWS, 5.0),
    "abc",
    None,
    (True, 5),
    ((ROWS, 5),),
    (),
)
DESCRS: tuple[object, ...] = (
    "<f4",
    "|O",
    ">c16",
    "<M8[s]",
    "|V99999999999",
    "<U2000000000",
    "zz",
    7,
    [("x", "<f4")],
)


def lying_npz(folder: Path, rng: random.Random) -> Path:
    """Give an .npz whose header says another shape or type than its data have."""
    members = _members(rng)
    name = rng.choice(sorted(members))
    shape = rng.choice(SHAPES) if rng.random() < 0.7 else (ROWS, 5)
    members[name] = _header(shape, rng.choice(DESCRS)) + bytes(rng.choice((0, 3, 800)))
    return _npz(folder / "lying.npz", members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))


def odd_npz(folder: Path, rng: random.Random) -> Path:
    """Give an .npz with members that are no plain matrices."""
    stream = io.BytesIO()
    odd = rng.choice(
        (
            np.array({"a": 1}, dtype=object),
            np.float64(3.0),
            np.array("text"),
            np.array(["x"] * ROWS),
            np.zeros((ROWS, 3), complex),
            np.zeros((ROWS, 0)),
            np.zeros((ROWS, 3), [("x", "f4")]),
            np.full((ROWS, 3), np.nan),
            np.full(ROWS, np.inf),
            np.zeros((2, 2, 2, 2)),
        )
    )
    np.save(stream, odd, allow_pickle=True)
    members = _members(rng)
    names = [*members, "c.npy", "notes.txt", "../../x.npy", "folder/", "c.npy.npy", ".npy", "ä\n.npy"]
    members[rng.choice(names)] = stream.getvalue()
    for name in rng.sample(sorted(members), rng.choice((0, 0, 1, 3))):
        del members[name]
    return _npz(folder / "odd.npz", members)


def spoilt(path: Path, rng: random.Random) -> Path:
    """Cut a file, change some of its bytes, or put others in front or behind."""
    data = bytearray(path.read_bytes())
    how = rng.randrange(4)
    if how == 0:
        del data[rng.randrange(len(data) + 1) :]
    elif how == 1:
        for _ in range(rng.choice((1, 5, 50))):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif how == 2:
        data[:0] = rng.randbytes(rng.choice((1, 8, 600)))
    else:
        place = rng.randrange(len(data))
        data[place : place + rng.choice((1, 40))] = rng.randbytes(rng.choice((0, 9)))
    path.write_bytes(data)
    return path


def spoilt_arrays(folder: Path, rng: random.Random) -> Path:
    """Give an .npz, a .safetensors or a folder of .npy with damaged bytes."""
    from safetensors.numpy import save_file

    kind, made = rng.choice(("npz", "safetensors", "npy")), arrays(rng)
    if kind == "npz":
        np.savez(folder / "x.npz", **made)
        return spoilt(folder / "x.npz", rng)
    if kind == "safetensors":
        save_file(made, folder / "x.safetensors")
        return spoilt(folder / "x.safetensors", rng)
    inner = folder / "arrays"
    inner.mkdir()
    for name, x in made.items():
        np.save(inner / f"{name}.npy", x)
    spoilt(inner / f"{rng.choice(sorted(made))}.npy", rng)
    return inner


def lying_safetensors(folder: Path, rng: random.Random) -> Path:
    """Give a .safetensors whose header does not fit."""
    entry: dict[str, Any] = {"dtype": "F32", "shape": [ROWS, 5], "data_offsets": [0, ROWS * 20]}
    entry |= rng.choice(
        (
            {"dtype": "F99"},
            {"shape": [2**62, 2**62]},
            {"shape": [-1]},
            {"data_offsets": [800, 0]},
            {"data_offsets": [0, 2**63]},
            {"shape": "x"},
            {"dtype": "C64"},
            {"dtype": "F8_E4M3", "shape": [ROWS, 20]},
        )
    )
    header: Any = {"a": entry, "b": {"dtype": "F32", "shape": [0, 5], "data_offsets": [800, 800]}}
    text = rng.choice((json.dumps(header), "[" * 20_000, "{", "[]", '{"a":1}')).encode()
    length = rng.choice((len(text), len(text), len(text), 2**63, 0, 10**8))
    path = folder / "lying.safetensors"
    path.write_bytes(struct.pack("<Q", length) + text + bytes(ROWS * 20))
    return path


def no_file(folder: Path, rng: random.Random) -> Path:
    """Give something else than a file where one belongs."""
    path = folder / rng.choice(("x.npz", "x.safetensors", "x.npy"))
    how = rng.randrange(6)
    if how == 0:
        os.mkfifo(path)
    elif how == 1:
        path.symlink_to(
            rng.choice(("/dev/zero", "/dev/full", "/dev/random", str(path), "/nowhere", "/proc/self/mem"))
        )
    elif how == 2:
        path.mkdir()
    elif how == 3:
        inner = folder / "arrays"
        inner.mkdir()
        os.mkfifo(inner / "a.npy")
        return inner
    elif how == 4:
        return folder / ("x" * 300 + ".npz")
    else:
        path.write_bytes(
            rng.choice((b"", b"\x80\x04.", b"PK\x03\x04", _header((ROWS, 5)) + bytes(ROWS * 20)))
        )
    return path


ARRAYS: tuple[Callable[[Path, random.Random], Path], ...] = (
    lying_npz,
    odd_npz,
    spoilt_arrays,
    lying_safetensors,
    no_file,
)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_any_size(width: int, height: int) -> bytes:
    """Write a PNG that says a size, and has no pixels."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", size)
        + _chunk(b"IDAT", zlib.compress(b""))
        + _chunk(b"IEND", b"")
    )


def image(folder: Path, rng: random.Random) -> Path:
    """Give an image that is damaged, too large, or of a format that starts programs."""
    from PIL import Image

    path = folder / "x.png"
    how = rng.randrange(5)
    if how == 0:
        path.write_bytes(
            png_of_any_size(*rng.choice(((10**5, 10**5), (0, 5), (2**31 - 1, 1), (30_000, 5000))))
        )
    elif how == 1:
        canary = folder / "canary"
        path.write_bytes(
            f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch {canary}) (w) file\n".encode()
        )
    elif how == 2:
        path.write_bytes(
            rng.choice((b"", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0\xff\xff\xff\xff", b"P6 1 1"))
        )
    else:
        kind = rng.choice(("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000"))
        pixels = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, kind)
        spoilt(path, rng)
    return path


VALUES: tuple[Any, ...] = (
    0,
    -1,
    10**9,
    10**18,
    1.5,
    None,
    "x",
    [],
    {},
    True,
    [10**9] * 3,
    "../../etc",
    float("nan"),
)


def checkpoint(good: Path, folder: Path, rng: random.Random) -> Path:
    """Give a copy of a good checkpoint's folder, with one file of it made hostile."""
    import shutil

    made = folder / "checkpoint"
    shutil.copytree(good, made)
    texts = sorted(path for path in made.iterdir() if path.suffix == ".json")
    path, how = rng.choice(texts), rng.randrange(7)
    if how == 0:
        path.write_text("[" * 100_000)
    elif how == 1:
        path.write_text(rng.choice(("", "{", "[]", "null", "7", '"x"', '{"a": 1e999}', "\ufeff{}")))
    elif how == 2:
        path.unlink()
        if (odd := rng.choice(("pipe", "folder", "/dev/zero", str(path)))) == "pipe":
            os.mkfifo(path)
        elif odd == "folder":
            path.mkdir()
        else:
            path.symlink_to(odd)
    elif how == 3:
        path.unlink()
        path.symlink_to("/etc/passwd")
    elif how == 4:
        spoilt(rng.choice(sorted(made.glob("*.safetensors"))), rng)
    else:
        said = json.loads(path.read_text())
        names = sorted(said)
        for name in rng.sample(names, min(len(names), rng.choice((1, 1, 2, 4)))):
            said[name] = rng.choice(VALUES)
        path.write_text(json.dumps(said))
    return made
