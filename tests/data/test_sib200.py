"""SIB-200: labelled rows that are the same in every language, joined on their id."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import reading as sources
from reading import refused

from relrep_exp.data import hub

TOPICS = ["travel", "health", "sports"]
CODES = {"de": "deu_Latn", "en": "eng_Latn", "zh": "zho_Hans"}
SPLITS = {"train": range(9), "dev": range(20, 23), "test": range(100, 106)}


def sib200(root, **changes):
    return sources.config("data", "sib200", **{"root": root and str(root), **changes})


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("index_id\tcategory\ttext\n" + "".join("\t".join(row) + "\n" for row in rows))


def rows(language, ids):
    """As the real files do, with quotation marks doubled in a quoted text, and not sorted by id."""
    return [(str(n), TOPICS[n % 3], f'"{language} ""{n}"""') for n in sorted(ids, key=lambda n: n % 7)]


@pytest.fixture
def root(tmp_path):
    for language, code in CODES.items():
        for split, ids in SPLITS.items():
            write(tmp_path / code / f"{split}.tsv", rows(language, ids))
    return tmp_path


def test_row_n_is_the_same_sentence_everywhere(root):
    samples = sources.load(sib200(root), ["zh", "de", "en"])
    assert samples.parallel
    ids = [n for split in SPLITS.values() for n in split]
    for language, view in samples.views.items():
        assert list(view.samples) == [f'{language} "{n}"' for n in ids]
        assert view.is_train.tolist() == [n < 100 for n in ids]
        assert view.labels.tolist() == [sorted(TOPICS).index(TOPICS[n % 3]) for n in ids]
    assert samples.notes["rows"] == {"train": 12, "test": 6}


def test_the_splits_are_chosen(root):
    view = sources.load(sib200(root, train=["train"], test=["dev"]), ["de"]).views["de"]
    assert (len(view.samples), int(view.is_train.sum())) == (12, 9)


def test_languages_have_to_agree(root):
    write(root / CODES["zh"] / "train.tsv", rows("zh", [0, 1, 2, 3, 4, 5, 6, 7, 77]))
    write(root / CODES["en"] / "test.tsv", [(n, "health", text) for n, _, text in rows("en", SPLITS["test"])])
    message = refused(sib200(root), "de", "en", "zh")
    assert "de and zh: index_id 8, 77 in one of them only" in message
    assert "de and en: index_id 101, 102, 104, 105 with another category" in message


def test_ids_come_once(root):
    write(root / CODES["de"] / "dev.tsv", rows("de", [20, 20, 21, 22, 100]))
    message = refused(sib200(root), "de")
    assert "de: index_id 20, 100 more than once in train, dev, test" in message


def test_topics_have_to_be_learnable(root):
    write(root / CODES["de"] / "one.tsv", [("7", "politics", "x")])
    message = refused(sib200(root, train=["dev"], test=["one"]), "de")
    assert "category politics occurs in data.test and never in data.train" in message
    write(root / CODES["de"] / "dev.tsv", [("1", "health", "x"), ("2", "health", "y")])
    assert "every training sentence has the category 'health'" in refused(sib200(root, train=["dev"]), "de")


def test_faults_of_several_files_are_told_together(root):
    (root / CODES["zh"] / "train.tsv").write_text("index_id\ttopic\ttext\n1\thealth\tx\n")
    (root / CODES["de"] / "dev.tsv").write_text("index_id\tcategory\ttext\n1\thealth\n")
    message = refused(sib200(root), "de", "en", "zh")
    assert "line 2: 2 cells under 3 columns" in message
    assert "no column 'category'" in message
    assert "choose one of: index_id, text, topic" in message
    (root / CODES["en"] / "dev.tsv").unlink()
    (root / CODES["zh"] / "test.tsv").unlink()
    message = refused(sib200(root), "de", "en", "zh")
    assert "no table of 'eng_Latn' for the split 'dev'" in message
    assert "no table of 'zho_Hans' for the split 'test'" in message


def test_other_languages_do_not_change_the_identity(root, tmp_path_factory):
    alone = sources.identity(sib200(root), ["de"])["de"]
    assert sources.identity(sib200(root), ["zh", "de"])["de"] == alone
    other = tmp_path_factory.mktemp("copy")
    for path in root.rglob("*.tsv"):
        write(other / "data" / path.relative_to(root), [])
        (other / "data" / path.relative_to(root)).write_bytes(path.read_bytes())
    assert sources.identity(sib200(other), ["de"])["de"] == alone
    write(root / CODES["de"] / "dev.tsv", rows("de", [20, 21]))
    assert sources.identity(sib200(root), ["de"])["de"] != alone


def test_from_the_hub(root, monkeypatch, tmp_path_factory):
    snapshot = tmp_path_factory.mktemp("snapshot")
    (snapshot / "data").symlink_to(root)
    monkeypatch.setattr(hub, "snapshot", lambda repo, offline: snapshot)
    monkeypatch.setattr(hub, "commit", lambda repo, offline: repo.revision)
    assert len(sources.load(sib200(None), ["de", "en"]).views["en"].samples) == 18
    found = sources.identity(sib200(None), ["de", "en"])
    assert found["de"]["commit"] == "38977a667f6fc264d5c26ec57a01e16db040b358"
    assert found["de"]["code"] == "deu_Latn"


def test_the_real_data():
    real = Path(os.environ.get("RELREP_DATA", "/nowhere")) / "sib200"
    if not real.is_dir():
        pytest.skip("RELREP_DATA names no folder with sib200")
    samples = sources.load(sib200(real), ["de", "en", "es", "fr", "zh"])
    assert samples.notes["rows"] == {"train": 800, "test": 204}
    assert len(samples.notes["classes"]) == 7
    assert samples.views["en"].samples[3].startswith("At 11:20, the police asked")
    assert samples.views["de"].samples[3].startswith("Um 11:20 Uhr forderte die Polizei")
    assert samples.views["de"].labels.bincount().tolist() == [93, 83, 110, 146, 252, 122, 198]
