"""Parallel sources: aligned sentences from subsets, tables and text files, and what is wrong with them."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import reading as sources
from reading import refused, write

from relrep_exp.data import hub
from relrep_exp.store.files import CONF

NAMES = ["files", "ntrex", "own", "paws_x", "sib200", "translated", "xnli"]
COUNT = 30


def parallel(name, **changes):
    return sources.config("parallel", name, **changes)


def load(config, *views):
    return sources.load(config, list(views))


def identity(config, *views):
    return sources.identity(config, list(views))


def texts(samples):
    return {language: list(view.samples) for language, view in samples.views.items()}


def sentences(language, count=COUNT):
    return [f"{language} {n}" for n in range(count)]


@pytest.fixture
def files(tmp_path):
    for language in ("de", "en", "es"):
        (tmp_path / f"{language}.txt").write_text("\n".join(sentences(language)) + "\n", encoding="utf-8")
    return tmp_path


def xnli(root, languages=("de", "en")):
    for language in languages:
        for split, count in (("validation", 12), ("test", 15)):
            rows = [
                {
                    "premise": f"{language} {split} p{n // 3}",
                    "hypothesis": f"{language} {split} h{n}",
                    "label": 0,
                }
                for n in range(count)
            ]
            write(root / language / f"{split}-00000-of-00001.parquet", rows)
    return parallel("xnli", root=str(root))


def paws(root, languages=("de", "en")):
    for language in languages:
        for split in ("validation", "test"):
            rows = [
                {"id": n, "sentence1": f"{language} {split} a{n}", "sentence2": f"{language} {split} b{n}"}
                for n in range(1, 16)
            ]
            write(root / language / f"{split}-00000-of-00001.parquet", rows)
    return parallel("paws_x", root=str(root))


def test_every_source_of_ours_is_a_valid_configuration():
    found = sorted(path.stem for path in (CONF / "parallel").glob("*.yaml"))
    assert found == NAMES
    for name in NAMES:
        assert parallel(name, **({"path": "x.csv"} if name == "translated" else {})).name == name


def test_columns_are_stacked_and_repeated_sentences_kept_once(tmp_path):
    samples = load(xnli(tmp_path), "en", "de")
    assert samples.parallel
    expected = [
        f"{split} {kind}{n}"
        for split, count in (("validation", 12), ("test", 15))
        for kind, numbers in (("p", range(count // 3)), ("h", range(count)))
        for n in numbers
    ]
    assert texts(samples) == {lang: [f"{lang} {text}" for text in expected] for lang in ("de", "en")}
    assert samples.notes == {"pairs": 36, "repeated": 18}
    assert samples.views["de"].labels is None


def test_rows_are_joined_on_their_key_and_the_untranslated_dropped(tmp_path):
    config = paws(tmp_path)
    path = tmp_path / "de" / "test-00000-of-00001.parquet"
    rows = [row for row in pq.read_table(path).to_pylist() if row["id"] not in (3, 4)]
    rows[0]["sentence1"], rows[1]["sentence2"], rows[2]["sentence2"] = "NS", " ", None
    write(path, rows[::-1])
    samples = load(config, "de", "en")
    pairs = list(zip(*texts(samples).values(), strict=True))
    assert all(german.removeprefix("de") == english.removeprefix("en") for german, english in pairs)
    missing = {"test a3", "test b3", "test a4", "test b4", "test a1", "test b2", "test b5"}
    assert len(pairs) == 60 - len(missing)
    assert not missing & {english.removeprefix("en ") for _, english in pairs}
    assert samples.notes == {"rows_without_partner": 2, "without_translation": 3, "pairs": 53}


def test_a_key_comes_once_in_a_split(tmp_path):
    config = paws(tmp_path)
    path = tmp_path / "en" / "test-00000-of-00001.parquet"
    write(path, [{**row, "id": row["id"] // 2} for row in pq.read_table(path).to_pylist()])
    message = refused(config, "de", "en")
    assert "en, split 'test': parallel.key=id has 1, 2, 3, 4, 5, ... (7 in all) more than once" in message


def test_rows_without_a_key_have_to_be_as_many_in_every_language(tmp_path):
    config = xnli(tmp_path)
    write(tmp_path / "en" / "test-00000-of-00001.parquet", [{"premise": "a", "hypothesis": "b"}])
    message = refused(config, "de", "en")
    assert "'test' has another number of rows in each language: de 15, en 1" in message
    assert "parallel.key=COLUMN" in message


def test_what_is_wrong_with_subsets_is_told_together(tmp_path):
    config = xnli(tmp_path)
    write(tmp_path / "en" / "test-00000-of-00001.parquet", [{"premise": "a", "label": 0}])
    (tmp_path / "de" / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    message = refused(config, "de", "en")
    assert "no column 'hypothesis'" in message
    assert "set parallel.columns=" in message
    assert "choose one of: label, premise" in message
    assert f"{tmp_path / 'de' / 'test-00000-of-00001.parquet'} cannot be read" in message
    message = refused(config, "de", "en", "fr", "es")
    assert "no table of 'es'" in message
    assert "no table of 'fr'" in message
    assert "parallel.languages.fr=NAME" in message
    assert "+parallel.languages.xx=CODE" in refused(config, "xx")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_with_a_column_for_each_language(tmp_path, suffix):
    rows = [{"de": f"de {n}", "English": f"en {n}", "n": n} for n in range(COUNT)]
    rows[7]["English"] = ""
    path = tmp_path / f"table.{suffix}"
    if suffix == "parquet":
        rows[7]["English"] = None
    write(path, rows)
    config = parallel("translated", path=str(path), languages={"de": "de", "en": "English"})
    samples = load(config, "en", "de")
    kept = [n for n in range(COUNT) if n != 7]
    assert texts(samples) == {"de": [f"de {n}" for n in kept], "en": [f"en {n}" for n in kept]}
    assert samples.notes == {"pairs": 29, "without_translation": 1}


def test_faults_of_a_table(tmp_path):
    path = tmp_path / "table.csv"
    write(path, [{"de": "a", "eng": "b"}] * COUNT)
    message = refused(parallel("translated", path=str(path)), "de", "en")
    assert "no column 'en'" in message
    assert "set parallel.languages.en=COLUMN; did you mean eng" in message
    assert "there is no such file" in refused(parallel("translated", path=str(tmp_path / "no.csv")), "de")
    assert "it is a folder" in refused(parallel("translated", path=str(tmp_path)), "de")
    odd = tmp_path / "table.xlsx"
    odd.write_text("x")
    assert "save it as .parquet, .csv" in refused(parallel("translated", path=str(odd)), "de")


def test_files_line_by_line(files):
    samples = load(parallel("files", root=str(files)), "de", "en", "es")
    assert texts(samples) == {language: sentences(language) for language in ("de", "en", "es")}
    held_out = [not kept for kept in samples.views["de"].is_train.tolist()]
    assert sum(held_out) == 3
    assert held_out == [not kept for kept in samples.views["en"].is_train.tolist()]


def test_only_real_line_ends_end_a_line(files):
    german = ["\ufeffBOM" if n == 0 else f"a\u2028b\x0b\x85 {n}" for n in range(COUNT)]
    (files / "de.txt").write_bytes("\r\n".join(german).encode() + b"\r\n\r\n\n")
    (files / "en.txt.gz").write_bytes(gzip.compress("\n".join(sentences("en")).encode()))
    config = parallel("files", root=str(files), languages={"de": "de.txt", "en": "en.txt.gz"})
    found = texts(load(config, "de", "en"))
    assert found["de"] == ["BOM", *german[1:]]
    assert found["en"] == sentences("en")


def test_empty_lines_go_in_every_language(files):
    lines = sentences("en")
    lines[4] = lines[9] = ""
    (files / "en.txt").write_text("\n".join(lines))
    samples = load(parallel("files", root=str(files)), "de", "en")
    kept = [n for n in range(COUNT) if n not in (4, 9)]
    assert texts(samples) == {lang: [f"{lang} {n}" for n in kept] for lang in ("de", "en")}
    assert samples.notes["without_translation"] == 2


def test_files_of_unequal_length(files):
    lines = sentences("en")
    (files / "en.txt").write_text("\n".join([*lines[:11], "", *lines[11:]]))
    message = refused(parallel("files", root=str(files)), "de", "en", "es")
    assert "differ in their number of lines: de.txt 30, en.txt 31, es.txt 30" in message
    assert "look at line 12, which is empty in en.txt only" in message
    (files / "en.txt").write_text("\n".join(lines[1:]))
    message = refused(parallel("files", root=str(files)), "de", "en", "es")
    assert "en.txt ends with line 29, and de.txt goes on: 'de 29'" in message


def test_faults_of_files_are_told_together(files):
    (files / "de.txt").write_bytes(b"ok\nGr\xf6sse\n")
    (files / "es.txt").write_bytes("Größe\n".encode("utf-16"))
    message = refused(parallel("files", root=str(files)), "de", "en", "es")
    assert f"{files / 'de.txt'} is not UTF-8: line 2, byte 3 of that line (0xf6)" in message
    assert f"{files / 'es.txt'} is not UTF-8: line 1, byte 1 of that line (0xff)" in message
    (files / "en.txt").rename(files / "eng.txt")
    (files / "fr.txt").mkdir()
    message = refused(parallel("files", root=str(files)), "de", "en", "fr")
    assert f"{files / 'en.txt'}: there is no such file" in message
    assert "parallel.languages.en=FILE; did you mean eng.txt" in message
    assert f"{files / 'fr.txt'} is a folder" in message


def test_limit_share_and_seed(files):
    config = parallel("files", root=str(files), limit=25, test_share=0.2)
    samples = load(config, "de", "en")
    numbers = [int(text.split()[1]) for text in samples.views["de"].samples]
    assert len(numbers) == 25
    assert numbers == sorted(numbers)
    assert samples.views["de"].is_train.tolist().count(False) == 5
    again = load(config, "en", "de")
    assert texts(again) == texts(samples)
    assert again.views["de"].is_train.tolist() == samples.views["de"].is_train.tolist()
    other = load(parallel("files", root=str(files), limit=25, test_share=0.2, split_seed=1), "de")
    assert other.views["de"].is_train.tolist() != samples.views["de"].is_train.tolist()


def test_too_few_pairs(files):
    assert "5 pairs are too few" in refused(parallel("files", root=str(files), limit=5), "de", "en")
    assert "30 of 30 pairs" in refused(parallel("files", root=str(files), test_share=0.01), "de", "en")


def test_a_source_without_a_place(files):
    assert "parallel.root=DIR" in refused(parallel("ntrex"), "de")
    assert "parallel.root=" in refused(parallel("ntrex", root=str(files / "none")), "de")
    assert "it is a file" in refused(parallel("ntrex", root=str(files / "de.txt")), "de")


def test_identity_names_all_languages_since_each_may_drop_rows(files, tmp_path_factory):
    config = parallel("files", root=str(files))
    two, three = identity(config, "de", "en"), identity(config, "es", "en", "de")
    assert two["de"] != two["en"]
    assert two["de"] != three["de"]
    assert identity(config, "en", "de") == two
    copy = tmp_path_factory.mktemp("copy")
    for path in files.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert identity(parallel("files", root=str(copy)), "de", "en") == two
    (copy / "en.txt").write_text("\n".join(sentences("EN")))
    assert identity(parallel("files", root=str(copy)), "de", "en")["de"] != two["de"]
    assert identity(parallel("files", root=str(files), split_seed=1), "de", "en") != two
    json.dumps(three)


def test_identity_of_a_table_and_of_the_hub(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    write(path, [{"de": "a", "en": "b"}] * COUNT)
    found = identity(parallel("translated", path=str(path)), "de", "en")
    assert found["de"] != found["en"]
    assert str(tmp_path) not in json.dumps(found)
    asked = []
    monkeypatch.setattr(hub, "commit", lambda repo, offline: asked.append(repo) or "c" * 40)
    monkeypatch.setattr(hub, "snapshot", lambda repo, offline: tmp_path)
    found = identity(parallel("xnli"), "de", "en")
    assert found["de"]["commit"] == "c" * 40
    assert asked[0].key == "parallel"
    xnli(tmp_path)
    assert len(load(parallel("xnli"), "de", "en").views["de"].samples) == 36


def test_the_real_ntrex():
    real = Path(os.environ.get("RELREP_DATA", "/nowhere")) / "ntrex"
    if not real.is_dir():
        pytest.skip("RELREP_DATA names no folder with ntrex")
    samples = load(parallel("ntrex", root=str(real)), "de", "en", "es", "fr", "zh")
    assert samples.notes == {"pairs": 1996, "repeated": 1}
    assert int(samples.views["zh"].is_train.sum()) == 1796
