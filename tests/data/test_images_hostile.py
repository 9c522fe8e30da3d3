"""Images that are made to harm: told at once as samples that cannot be read, and nothing is started."""

import errno
import gzip
import os
import random
import time
from pathlib import Path

import pytest
from fuzz_files import image, png_of_any_size
from PIL import Image

from relrep_exp.data import image_files
from relrep_exp.data.image_samples import FORMATS, decoded
from relrep_exp.data.samples import BadSampleError
from relrep_exp.errors import UserError


def test_the_formats_are_those_of_the_suffixes():
    Image.init()
    assert set(FORMATS) == {Image.EXTENSION[suffix] for suffix in image_files.SUFFIXES}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_named_format_is_read(tmp_path, kind):
    Image.new("RGB", (9, 7), (250, 20, 20)).save(tmp_path / "x.png", kind)  # whatever it is called
    assert decoded(tmp_path / "x.png").shape == (7, 9, 3)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "PCX", "TGA", "SGI", "MSP"])
def test_no_other_format_is_even_looked_into(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("it starts a program"))
    mode = "1" if kind == "MSP" else "RGB"
    path = tmp_path / "x.png"
    Image.new(mode, (9, 7)).save(path, kind)
    with pytest.raises(BadSampleError, match="it is no PNG, JPEG"):
        decoded(path)


def test_an_image_that_would_fill_the_memory_is_refused_before_it_does():
    start = time.perf_counter()
    with pytest.raises(BadSampleError, match="decompression bomb"):
        decoded(png_of_any_size(100_000, 100_000))
    assert time.perf_counter() - start < 1


@pytest.mark.timeout(60)
def test_hostile_images_are_read_or_told(tmp_path):
    refused = 0
    for seed in range(150):
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            assert decoded(image(folder, random.Random(seed))).dtype == "uint8"
        except BadSampleError as error:
            refused += 1
            assert str(error)
        assert not (folder / "canary").exists()
    assert refused > 100


@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(UserError, match="is a named pipe"):
        decoded(tmp_path / "x.png")


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_what_the_disk_refuses_now_is_not_taken_for_a_damaged_sample(tmp_path, monkeypatch, code):
    """Such a sample would be left out for good with data.on_error=skip."""
    Image.new("RGB", (9, 7)).save(tmp_path / "x.png")

    def fail(self, *_args, **_kwargs):
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(UserError, match=r"x\.png cannot be read"):
        decoded(tmp_path / "x.png")


def test_idx_files_unpack_to_no_more_than_they_promise(tmp_path):
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2, 3, 3))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(10**8)))
    with pytest.raises(UserError, match="holds more than 18 bytes of data"):
        image_files._array(tmp_path, "train", "images")
