"""What configurations need of the hub, and which of the files that are there."""

from __future__ import annotations

import pytest

from relrep_exp.app.plan import make_plan
from relrep_exp.config.schema import (
    ImagesData,
    Sib200Data,
    TextsData,
    TimmEncoderConfig,
    TransformersEncoderConfig,
)
from relrep_exp.data import hub
from relrep_exp.data.hub import Repo, select
from relrep_exp.data.hub.prefetch import merged
from relrep_exp.data.origin import repository
from relrep_exp.encoders.zoo import model_repo

COMMIT = "1f" * 20
TABLES = [
    "README.md",
    "de/train-00000-of-00002.parquet",
    "de/train-00001-of-00002.parquet",
    "de/validation-00000-of-00001.parquet",
    "de/test-00000-of-00001.parquet",
    "de/train.jsonl",
    "fr/train-00000-of-00001.parquet",
    "fr/test-00000-of-00001.parquet",
]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model.safetensors", "model.fp16.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "consolidated.safetensors"],
         ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]),
        (["pytorch_model.bin", "training_args.bin", "optimizer.pt"], ["pytorch_model.bin"]),
        (["open_clip_model.safetensors", "open_clip_pytorch_model.bin"], ["open_clip_model.safetensors"]),
        (["tf_model.h5", "model.onnx"], []),
    ],
)  # fmt: skip
def test_weight_files(names: list[str], expected: list[str]) -> None:
    assert hub.weight_files(names) == expected


def test_only_the_index_of_the_weights_that_are_taken() -> None:
    names = ["config.json", "model.safetensors.index.json", "model-00001-of-00001.safetensors",
             "pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"]  # fmt: skip
    taken, lacking = select.wanted(Repo("owner/bert", "model"), names)
    assert (taken, lacking) == (sorted(names[:3]), [])


def test_what_configurations_need() -> None:
    timm = model_repo("zoo.encoders.a", TimmEncoderConfig(model="vit_s.tag", revision=COMMIT))
    assert timm is not None
    assert (timm.id, timm.kind, timm.revision, timm.key) == (
        "timm/vit_s.tag",
        "model",
        COMMIT,
        "zoo.encoders.a",
    )
    other = model_repo("k", TimmEncoderConfig(model="owner/vit"))
    assert other is not None
    assert other.id == "owner/vit"
    assert model_repo("k", TimmEncoderConfig(model="vit_s.tag", path="here")) is None
    assert model_repo("k", TransformersEncoderConfig(model="o/b", path="here")) is None
    images = ImagesData(kind="images", name="c", repo="owner/images")
    assert repository(images, []) == Repo("owner/images", "dataset", key="data")
    assert repository(ImagesData(kind="images", name="c", repo="o/i", root="here"), []) is None


def test_only_the_languages_and_splits_of_the_zoo_are_needed() -> None:
    texts = TextsData(kind="texts", name="t", languages={"de": "de", "fr": "fr"}, repo="owner/texts")
    repo = repository(texts, ["de"])
    assert repo is not None
    taken, lacking = select.wanted(repo, TABLES)
    assert lacking == []
    assert taken == sorted(["README.md", *TABLES[1:3], TABLES[4]])
    assert select.wanted(repo, [name for name in TABLES if "test" not in name])[1], "a split is missing"
    sib = Sib200Data(kind="sib200", name="s", languages={"de": "deu_Latn", "en": "eng_Latn"}, repo="o/sib")
    repo = repository(sib, ["de", "en"])
    assert repo is not None
    there = [f"data/{code}/{split}.tsv" for code in ("deu_Latn", "eng_Latn", "fra_Latn")
             for split in ("train", "dev", "test")]  # fmt: skip
    assert select.wanted(repo, [*there, "data/deu_Latn/labels.txt"]) == (sorted(there[:6]), [])


def test_needs_of_several_runs_are_joined() -> None:
    one, two = (
        Repo("o/t", "dataset", files=("de/*",), key="data"),
        Repo("o/t", "dataset", files=("fr/*", "de/*")),
    )
    pinned = Repo("o/t", "dataset", COMMIT)
    assert merged([one, two, pinned, one]) == [
        Repo("o/t", "dataset", files=("de/*", "fr/*"), key="data"), pinned
    ]  # fmt: skip


def test_the_default_run_needs_nothing() -> None:
    assert [repo for run in make_plan([], False) for repo in run.request.wanted] == []
