"""TREC's own files, through the reader of labelled texts."""

import pytest
import reading as sources

from relrep_exp.config.schema import TextsData
from relrep_exp.errors import UserError

TRAIN = [
    "DESC:manner How did serfdom develop ?",
    "LOC:city Where is Espa\xf1a 's capital ?",
    "DESC:def What is\x85 an atom ?",  # a mark that Python would take for the end of a line
    "HUM:ind Who was Galileo ?",
]
TEST = ["HUM:ind Who is she ?", "LOC:other Where is it ?"]


def write(root, train=TRAIN, encoding="latin-1"):
    root.mkdir(exist_ok=True)
    (root / "train_5500.label").write_bytes("".join(f"{line}\n" for line in train).encode(encoding))
    (root / "TREC_10.label").write_bytes("".join(f"{line}\n" for line in TEST).encode(encoding))
    return root


def load(root, label="label_coarse_original", views=("en",)):
    config = TextsData(kind="texts", name="trec", languages={"en": "default"}, label=label, root=str(root))
    return sources.load(config, list(views), True)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_questions_and_coarse_labels(tmp_path, encoding):
    samples = load(write(tmp_path / "trec", encoding=encoding))
    view = samples.views["en"]
    assert list(view.samples) == [line.split(" ", 1)[1] for line in [*TRAIN, *TEST]]
    assert view.labels.tolist() == [0, 2, 0, 1, 1, 2]  # DESC, HUM, LOC
    assert view.is_train.tolist() == [True] * 4 + [False] * 2
    assert samples.notes["classes"] == ["DESC", "HUM", "LOC"]


def test_fine_labels_are_another_column(tmp_path):
    with pytest.raises(UserError, match="LOC:other"):
        load(write(tmp_path / "trec"), label="label_original")


def test_tables_beside_them_are_taken_first(tmp_path):
    root = write(tmp_path / "trec")
    for split in ("train", "test"):
        rows = "text,label_coarse_original\na table,X\nits rows,Y\n"
        (root / f"{split}.csv").write_text(rows)
    assert list(load(root).views["en"].samples) == ["a table", "its rows"] * 2


@pytest.mark.parametrize("line", ["How did it end ?", "DESC:manner", "desc:manner How ?", ""])
def test_a_line_without_label_is_named(tmp_path, line):
    root = write(tmp_path / "trec", [TRAIN[0], line, *TRAIN[1:]])
    with pytest.raises(UserError, match=r"train_5500\.label, line 2"):
        load(root)


def test_other_data_do_not_take_them_for_theirs(tmp_path):
    root = write(tmp_path / "trec")
    config = TextsData(kind="texts", name="imdb", languages={"en": "plain_text"}, root=str(root))
    with pytest.raises(UserError, match="no table of 'plain_text'"):
        sources.load(config, ["en"], True)
