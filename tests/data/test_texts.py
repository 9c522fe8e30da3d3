"""Labelled texts of several languages, from tiny tables in every format and every fault they may have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import reading as sources
from reading import refused, write
from tiny_images import write_csv

from relrep_exp.data import hub, layouts

ROOT = Path(__file__).resolve().parents[2]
ODD = ["NA", "None", "007", "", 'say "hi", now', "two\nlines", "a\u2028b", "Größe 尺寸", "2019-01-01", '"']


def marc(root, **changes):
    return sources.config("data", "marc", **{"root": root and str(root), **changes})


def rows(count, word="text", labels=5):
    return [{"text": f"{word} {n}", "label": n % labels} for n in range(count)]


def folder(root, languages=("de", "en"), suffix="csv", table=None):
    for language in languages:
        write(root / language / f"train.{suffix}", table or rows(20, f"{language} train"))
        write(root / language / f"test.{suffix}", table or rows(10, f"{language} test"))
    return root


def load(config, *views):
    return sources.load(config, list(views))


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz", "json", "parquet"])
def test_odd_texts_survive_every_format(tmp_path, suffix):
    table = [{"text": text, "label": n % 5} for n, text in enumerate(ODD)]
    samples = load(marc(folder(tmp_path, ["de"], suffix, table), labels="fine"), "de")
    assert list(samples.views["de"].samples) == ODD * 2
    assert samples.views["de"].labels.tolist() == [0, 1, 2, 3, 4] * 4
    assert samples.notes["empty_texts"] == {"de": 2}
    assert samples.parallel, "all encoders of one language read the same rows"


@pytest.mark.parametrize(
    "layout",
    [
        "{l}/{s}.csv",
        "data/{l}/{s}.jsonl.gz",
        "{l}/{s}-00000-of-00001.parquet",
        "{l}/{s}/0000.parquet",
        "{s}/{l}.parquet",
        "{s}/dataset_{l}_{s}.json",
        "{l}_{s}.tsv",
        "{l}-{s}.csv.gz",
    ],
)
def test_every_layout_is_found(tmp_path, layout):
    for language in ("de", "en"):
        for split, count in (("train", 20), ("test", 10)):
            write(tmp_path / layout.format(l=language, s=split), rows(count, f"{language} {split}"))
    path = layout.format(l="de", s="train")
    assert any(fnmatchcase(path, pattern) for pattern in layouts.patterns("de", ["train"]))  # is downloaded
    samples = load(marc(tmp_path, labels="fine"), "en", "de")
    assert set(samples.views) == {"de", "en"} and not samples.parallel
    assert samples.views["en"].samples[0] == "en train 0"
    assert samples.views["de"].samples[-1] == "de test 9"
    assert samples.views["de"].is_train.tolist() == [True] * 20 + [False] * 10


def test_parts_are_read_in_order(tmp_path):
    folder(tmp_path, ["de"], "parquet")
    (tmp_path / "de" / "train.parquet").unlink()
    for part in range(3):
        write(tmp_path / "de" / f"train-0000{part}-of-00003.parquet", rows(5, f"part {part}"))
    texts = load(marc(tmp_path, labels="fine"), "de").views["de"].samples
    assert [texts[row] for row in (0, 5, 14)] == ["part 0 0", "part 1 0", "part 2 4"]


def test_a_tsv_whose_quotation_marks_do_not_pair_is_read_as_it_is(tmp_path):
    lines = ["text\tlabel", '"Oh" she said\t0', 'an open " here\t1', '"never closed\t2', "d\t3", "e\t4"]
    for split in ("train", "test"):
        path = tmp_path / "de" / f"{split}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    texts = load(marc(tmp_path, labels="fine"), "de").views["de"].samples
    assert texts[:3] == ['"Oh" she said', 'an open " here', '"never closed']


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_text_may_be_very_long(tmp_path, suffix):
    long = "word " * 100_000
    for split in ("train", "test"):
        write(tmp_path / "de" / f"{split}.{suffix}", [*rows(5), {"text": long, "label": 0}])
    assert load(marc(tmp_path, labels="fine"), "de").views["de"].samples[5] == long


def test_labels_are_numbered_by_value_and_alike_in_every_language(tmp_path):
    for language, names in (("de", [10, 9, 2]), ("en", [2, 10, 9])):
        for split in ("train", "test"):
            write(tmp_path / language / f"{split}.csv", [{"text": str(n), "label": n} for n in names])
    samples = load(marc(tmp_path, labels="fine"), "de", "en")
    assert samples.views["de"].labels.tolist() == [2, 1, 0] * 2
    assert samples.views["en"].labels.tolist() == [0, 2, 1] * 2
    assert samples.notes["classes"] == ["2", "9", "10"]


@pytest.mark.parametrize("first", [0, 1])
def test_coarse_drops_the_middle_class(tmp_path, first):
    table = [{"text": f"stars {n}", "label": n + first} for n in range(5)]
    view = load(marc(folder(tmp_path, ["de"], "jsonl", table)), "de").views["de"]
    assert view.samples[:4] == ["stars 0", "stars 1", "stars 3", "stars 4"]
    assert view.labels.tolist() == [0, 0, 1, 1] * 2


def test_coarse_needs_five_ordered_classes(tmp_path):
    message = refused(marc(folder(tmp_path, table=rows(20, labels=4))), "de")
    assert "data.labels=coarse: data.label=label holds 0, 1, 2, 3" in message
    assert "data.labels=fine" in message


def test_the_original_files_title_and_body(tmp_path):
    table = [{"review_title": f"T{n}", "review_body": "B" * (n % 2), "stars": str(n + 1)} for n in range(5)]
    for split in ("train", "test"):
        write(tmp_path / split / f"dataset_de_{split}.json", table)
    config = marc(tmp_path, text=["review_title", "review_body"], label="stars")
    assert load(config, "de").views["de"].samples[:4] == ["T0", "T1. B", "T3. B", "T4"]


def test_limit_draws_from_all_of_a_sorted_file(tmp_path):
    table = sorted(rows(500), key=lambda row: row["label"])
    root = folder(tmp_path, ["de"], "parquet", table)
    view = load(marc(root, labels="fine", limit=100), "de").views["de"]
    assert Counter(view.is_train.tolist()) == {True: 100, False: 100}
    assert all(count > 5 for count in Counter(view.labels[:100].tolist()).values())
    assert list(load(marc(root, labels="fine", limit=100), "de").views["de"].samples) == list(view.samples)
    assert (
        len(load(marc(root, limit=100), "de").views["de"].samples) == 200
    )  # after the middle class has gone


def test_classes_have_to_fit(tmp_path):
    folder(tmp_path)
    write(tmp_path / "en" / "train.csv", rows(20, labels=4))
    write(tmp_path / "de" / "test.csv", rows(20, labels=7))
    message = refused(marc(tmp_path, labels="fine"), "de", "en")
    assert "en: no training text has the label 4, which other languages have" in message
    assert "de: no training text has the label 5, 6, which test texts have" in message


def test_one_class_is_too_few(tmp_path):
    message = refused(marc(folder(tmp_path, table=rows(10, labels=1)), labels="fine"), "de", "en")
    assert "every training label is '0'" in message


def test_unknown_languages_and_missing_folders_are_told_together(tmp_path):
    message = refused(marc(folder(tmp_path, ["de"])), "de", "dee", "xx")
    assert "no texts in the language 'dee'" in message
    assert "did you mean de" in message
    assert "+data.languages.xx=CODE" in message
    message = refused(marc(tmp_path), "de", "en", "fr")
    assert message.count("no table of 'en'") == 2  # train and test
    assert message.count("no table of 'fr'") == 2
    assert "data.languages.en=NAME" in message


def test_the_root_has_to_be_a_folder(tmp_path):
    path = write(tmp_path / "train.csv", rows(5))
    assert "it is a file" in refused(marc(path), "de")
    assert "there is no such folder" in refused(marc(tmp_path / "none"), "de")
    assert "data.root=DIR" in refused(marc(None, repo=None), "de")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_wrong_column_lists_those_there_are(tmp_path, suffix):
    message = refused(marc(folder(tmp_path, ["de"], suffix), label="stars", text=["txt"]), "de")
    assert "train." + suffix in message
    assert "no column 'stars'" in message
    assert "set data.label=COLUMN" in message
    assert "no column 'txt'" in message
    assert "did you mean text" in message
    assert "There are: label, text" in message


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_missing_values_are_told_with_their_row(tmp_path, suffix):
    folder(tmp_path, ["de"], suffix)
    table = [*rows(10), {"text": None, "label": 1}, {"text": "x", "label": None}]
    path = write(tmp_path / "de" / f"train.{suffix}", table)
    message = refused(marc(tmp_path), "de")
    assert f"{path}, row 11: column 'text' has no value (1 such rows)" in message
    assert f"{path}, row 12: column 'label' has no value" in message


@pytest.mark.parametrize("suffix", ["csv.gz", "jsonl.gz", "parquet"])
def test_cut_off_files(tmp_path, suffix):
    folder(tmp_path, ["de", "en"], suffix)
    for language in ("de", "en"):
        path = tmp_path / language / f"train.{suffix}"
        path.write_bytes(path.read_bytes()[:-20])
    message = refused(marc(tmp_path), "de", "en")
    assert str(tmp_path / "de") in message
    assert str(tmp_path / "en") in message
    assert "cut off" in message


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("train.csv", "text,label\na,1\nb,2,x\n", "line 3: 3 cells under 2 columns"),
        ("train.csv", "text,label\na,1,x\nb,2,x\n", "line 2: 3 cells under 2 columns"),
        ("train.csv", "text,label\na,1\nb\n", "line 3: 1 cells under 2 columns"),
        ("train.csv", 'text,label\n"a,1\nb,2\n', "unexpected end of data"),
        ("train.csv", "text,text\na,1\n", "its header holds text, text"),
        ("train.csv", "text,label\n", "no rows"),
        ("train.csv", "", "its header holds nothing"),
        ("train.jsonl", "", "no rows"),
        ("train.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label":\n', "line 2"),
        ("train.jsonl", '{"text": "a", "label": 1}\n{"text": 5, "label": 2}\n', "column 'text' holds"),
        ("train.jsonl", '{"text": ["a"], "label": 1}\n', "column 'text' holds"),
        ("train.parquet", "no parquet", "cannot be read"),
        ("train.csv", "text,label\nok,1\nGr\xf6sse,2\n", "line 3, byte 3 of that line (0xf6)"),
    ],
)
def test_damaged_tables(tmp_path, name, content, told):
    write(tmp_path / "de" / "test.csv", rows(5))
    (tmp_path / "de" / name).write_text(content, encoding="latin-1")
    message = refused(marc(tmp_path), "de")
    assert str(tmp_path / "de" / name) in message
    assert told in message


def test_a_missing_part_and_two_formats(tmp_path):
    write(tmp_path / "de" / "train-00001-of-00002.parquet", rows(5))
    write(tmp_path / "de" / "test.csv", rows(5))
    write(tmp_path / "de" / "test.parquet", rows(5))
    parts, formats = sources.told(sources.identity, marc(tmp_path), ["de"])
    assert "holds 1 of 2 parts" in parts.what
    assert "keep one of them" in formats.remedy


def test_identity_is_the_content_not_the_place(tmp_path):
    here = folder(tmp_path / "here")
    there = folder(tmp_path / "there", ["de"])
    first = sources.identity(marc(here), ["de", "en"])
    assert sources.identity(marc(there), ["de"])["de"] == first["de"]
    assert first["de"] != first["en"]
    json.dumps(first)
    write(there / "de" / "test.csv", rows(11))
    assert sources.identity(marc(there), ["de"])["de"] != first["de"]
    for changes in ({"labels": "fine"}, {"limit": 3}, {"text": ["text", "label"]}):
        assert sources.identity(marc(here, **changes), ["de"])["de"] != first["de"]


def test_the_hub_gives_a_commit_to_the_identity_and_a_folder_to_the_reader(tmp_path, monkeypatch):
    blobs, snapshot = folder(tmp_path / "blobs", ["de"], "jsonl.gz"), tmp_path / "snapshot"
    (snapshot / "de").mkdir(parents=True)
    for split in ("train", "test"):
        (snapshot / "de" / f"{split}.jsonl.gz").symlink_to(blobs / "de" / f"{split}.jsonl.gz")
    asked = []
    monkeypatch.setattr(hub, "commit", lambda repo, offline: asked.append(repo) or "c" * 40)
    monkeypatch.setattr(hub, "snapshot", lambda repo, offline: snapshot)
    config = marc(None)
    found = sources.identity(config, ["de"], offline=False)["de"]
    assert found["commit"] == "c" * 40
    assert found["repo"] == asked[0].id == "mteb/AmazonReviewsClassification"
    assert len(load(config, "de").views["de"].samples) == 24


IDENTITY = """
import socket, sys, yaml
def no_network(*_): raise SystemExit("it went to the network")
socket.socket.connect = no_network
from pydantic import TypeAdapter
from relrep_exp.data.sources import Dataset
from relrep_exp.config.schema import DataConfig, ImagesData
values = yaml.safe_load(open("conf/data/marc.yaml")) | {"root": sys.argv[1]}
data = Dataset(TypeAdapter(DataConfig).validate_python(values), offline=True)
data.identity(["de"])
images = ImagesData(kind="images", name="tiny", image="img", root=sys.argv[2])
Dataset(images, offline=True).identity(["image"])
print([name for name in ("torch", "datasets", "pandas", "pyarrow", "numpy", "PIL") if name in sys.modules])
"""
LOAD = (
    IDENTITY
    + """
print(len(data.load(["de"]).views["de"].samples))
"""
)


@pytest.mark.parametrize(
    ("program", "said"),
    [(IDENTITY, ["[]"]), pytest.param(LOAD, ["[]", "24"], marks=pytest.mark.slow)],
    ids=["identity", "load"],
)
def test_no_cache_no_network_and_nothing_heavy_for_an_identity(program, said, tmp_path):
    folder(tmp_path / "texts", ["de"], "parquet")
    write_csv(tmp_path / "images")
    nowhere = {"HOME": "/proc/none", "HF_HOME": "/proc/none", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "TMPDIR", "LANG")}
    command = [sys.executable, "-c", program, str(tmp_path / "texts"), str(tmp_path / "images")]
    done = subprocess.run(command, cwd=ROOT, env={**kept, **nowhere}, capture_output=True, text=True)
    assert done.stdout.split("\n")[: len(said)] == said, done.stderr
