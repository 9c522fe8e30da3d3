"""Zoos of encoders of different kinds, and texts of one language, from the command line to the record."""

import json

import huggingface_hub.constants
import numpy as np
import pytest
import tiny_text
import tiny_vision
from PIL import Image

from relrep_exp.app.plan import make_plan
from relrep_exp.app.request import Request
from relrep_exp.config.views import of_samples, own_pairs, views
from relrep_exp.encoders.zoo import models

METHOD = ["aligner=ortho", "anchors.m=6", "decoder=linear", "logger=none"]
SECTIONS = ("Art", "Sports")


def config(*words):
    return make_plan(["logger=none", *words], sweep=False)[0].config


def sources(config):
    """The encoders of a run, not loaded."""
    request = Request(config)
    assert request.identity
    return request.encoders


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tiny RexNet and a tiny BERT."""
    root = tmp_path_factory.mktemp("mixed")
    vision = tiny_vision.save(root / "timm")
    return {"rexnet": vision[tiny_vision.REXNET], "bert": tiny_text.save("bert", root / "bert")}


@pytest.fixture
def news(tmp_path):
    """Bright photographs of sport and dark ones of art, with texts that say which; 16 + 8."""
    root = tmp_path / "news"
    (root / "photos").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, numbers in (("train", range(16)), ("test", range(16, 24))):
        lines = []
        for n in numbers:
            pixels = rng.integers(0, 100, (20, 20, 3)) + 150 * (n % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(root / "photos" / f"{n}.png")
            text = f"a {SECTIONS[n % 2].lower()} event number {n}"
            row = {"text": text, "image": f"photos/{n}.png", "label": SECTIONS[n % 2]}
            lines.append(json.dumps(row))
        (root / f"{split}.jsonl").write_text("\n".join(lines))
    return root


@pytest.fixture
def two(folders, news, outputs):
    """One encoder of images and one of texts out of the modality zoo's seven."""
    words = ["task=modality_stitch", f"data.root={news}", *METHOD, f"paths.outputs={outputs}"]
    words += [f"~zoo.encoders.{name}" for name in ("vit_b", "clip", "roberta", "electra", "clip_text")]
    words += [f"zoo.encoders.rexnet.path={folders['rexnet']}"]
    return [*words, f"zoo.encoders.bert_cased.path={folders['bert']}"]


def test_images_and_texts_are_stitched_and_share_embeddings_with_plain_zoos(told, two, record, outputs):
    code, out, err = told(*two)
    assert (code, err) == (0, "") and "modality_stitch: random-ortho" in out
    names = {"rexnet", "bert_cased"}
    pairs = {(row.source, row.target) for row in record().rows if row.metric == "f1_weighted"}
    assert pairs == {(source, target) for source in names for target in names}
    assert record().config["data"].keys() == {"image", "en"}
    kept = record().config["encoders"]
    mixed = config(*two)
    for part in mixed.zoo.parts():
        [name] = part.encoders
        assert not hasattr(part.encoders[name], "kind")
        assert kept[name] == sources(mixed)[name].identity()
    assert len(list((outputs / "embeddings").glob("*/manifest.json"))) == 2
    plain = [word for word in two if "bert_cased" not in word and not word.startswith("~")]
    plain = [
        *plain,
        "zoo=lst_vision",
        *(f"~zoo.encoders.{n}" for n in ("resnet50", "vit_b", "vit_b_384", "clip")),
    ]
    path = next(word for word in two if "rexnet.path" in word).replace("rexnet", "vit_s", 1)
    plain += [path, "zoo.encoders.vit_s.model=rexnet_100.nav_in1k"]
    assert told(*plain)[0] == 0
    assert len(list((outputs / "embeddings").glob("*/manifest.json"))) == 2, "the photographs' are read again"


def test_a_damaged_image_is_named_or_left_out_in_both_views(told, two, news, record):
    path = news / "photos" / "5.png"
    path.write_bytes(path.read_bytes()[:60])
    code, _, err = told(*two)
    assert code == 2 and "5.png" in err and "data.on_error=skip" in err
    assert told(*two, "data.on_error=skip")[0] == 0
    lost = record().diagnostics["samples"]["left_out"]
    assert lost == {name: {"rows": 1, "first": [5]} for name in ("rexnet", "bert_cased")}


@pytest.mark.slow
def test_local_encoders_of_both_views(told, outputs, record):
    words = ["task=modality_stitch", "data=digits_described", "zoo=two_views_local", *METHOD]
    words += [f"~zoo.encoders.{name}" for name in ("vit", "gru", "letters")]
    words += ["zoo.encoders.mlp.epochs=1", "zoo.encoders.bert.epochs=1", "+zoo.encoders.bert.batch=256"]
    code, _, err = told(*words, f"paths.outputs={outputs}")
    assert (code, err) == (0, "")
    own = {(r.source, r.target): r.value for r in record().rows if r.metric == "f1_weighted"}
    assert own["mlp", "mlp"] > 0.7 and own["words", "words"] > 0.7
    assert set(record().config["encoders"]) == {"mlp", "words", "bert"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=digits"], "whose encoders read images and texts: use data=n24news, digits_described"),
        (["data=sib200"], "whose encoders read images and texts"),
        (["+zoo.encoders.x={model: y}"], "zoo.encoders.x.kind is not set"),
        (["+zoo.encoders.x={kind: tim, model: y}"], "zoo.encoders.x.kind=tim: no such kind"),
        (["+zoo.encoders.x={kind: tim, model: y}"], "did you mean timm?"),
        (["zoo.encoders.vit_b.revision=main"], "zoo.encoders.vit_b.revision='main'"),
        (["+zoo.encoders.x={kind: lsa, language: en, ngrams: [3, 1]}"], "zoo.encoders.x={"),
        (["+zoo.encoders.x={kind: lsa, language: de}", "data.root=."], "no view 'de'"),
        ([], "data.root=DIR"),
        (["data.test=train"], "data.train and data.test share train"),
        (["task=text_stitch", "zoo=two_views_local"], "whose encoders read images and texts"),
        (["task=mnist_ae", "zoo=two_views_local", "data=digits_described"], "these encoders read none"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_read(told, words, message, outputs):
    given = [] if any(word.startswith("task=") for word in words) else ["task=modality_stitch"]
    code, _, err = told(*given, *words, "logger=none", "runtime.offline=true", f"paths.outputs={outputs}")
    assert code == 2 and message in " ".join(err.replace("->", ":").split()).replace(" : ", ": ")
    assert not any(outputs.rglob("*"))


def test_what_a_mixed_zoo_needs_of_the_hub_and_what_it_may_go_without(
    told, two, tmp_path, monkeypatch, record
):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "no_cache"))
    whole = [word for word in two if not word.startswith("~")]
    found = models(config(*whole))
    assert set(found) == {"vit_b", "clip", "roberta", "electra", "clip_text"}
    assert found["clip"].id == "timm/vit_base_patch32_clip_224.openai"
    assert found["clip_text"].id == "openai/clip-vit-base-patch32"
    code, _, err = told(*whole, "runtime.offline=true")
    assert code == 2 and "zoo.encoders.electra" in err and "zoo.skip_missing=true" in err
    skipping = [*whole, "runtime.offline=true", "zoo.skip_missing=true"]
    assert list(sources(config(*skipping))) == ["rexnet", "bert_cased"]
    assert told(*skipping)[0] == 0
    assert set(record().diagnostics["samples"]["skipped_encoders"]) == set(found)


def test_wrong_folders_of_encoders_of_several_kinds_are_told_together(told, two):
    words = [word for word in two if ".path=" not in word]
    code, _, err = told(*words, "zoo.encoders.rexnet.path=/not/there", "zoo.encoders.bert_cased.path=/nor")
    assert code == 2 and "no folder /not/there" in err and "no folder /nor" in err


def test_texts_of_one_language_are_pairs_of_their_own(told, tmp_path, outputs, record):
    root = tmp_path / "trec"
    root.mkdir()
    kinds = ("LOC:city Where is town", "HUM:ind Who is person")
    for name, count in (("train_5500", 60), ("TREC_10", 20)):
        (root / f"{name}.label").write_text("".join(f"{kinds[n % 2]} {n} ?\n" for n in range(count)))
    words = [
        "task=text_stitch",
        f"data.root={root}",
        "zoo=lst_text_local",
        *METHOD,
        f"paths.outputs={outputs}",
    ]
    words += [*(f"~zoo.encoders.bert_{name}" for name in "ab"), "zoo.encoders.words.dim=5"]
    code, _, err = told(*words, "zoo.encoders.letters.dim=7", "anchors.m=40")
    assert (code, err) == (0, "")
    values = {(r.source, r.target): r.value for r in record().rows if r.metric == "f1_weighted"}
    assert values["words", "letters"] > 0.9 and values["letters", "words"] > 0.9
    assert "parallel" not in record().config


@pytest.mark.parametrize(
    ("words", "paired", "batch"),
    [
        (["task=text_stitch"], True, 1024),
        (["task=marc_stitch", "zoo=lst_text", "parallel=sib200"], True, 1024),
        (["task=marc_stitch", "zoo=lst_text", "parallel=sib200", "parallel.use=always"], False, 256),
        (["task=marc_stitch", "parallel=sib200"], False, 256),
        (["task=modality_stitch", "data=digits_described", "zoo=two_views_local"], True, 256),
    ],
)
def test_what_is_paired_depends_on_how_many_languages_are_read(words, paired, batch):
    found = config("anchors=param", *words)
    assert own_pairs(found) == paired
    assert found.anchors.batch == batch
    assert (len(views(found)) == 1) == (words[0] == "task=text_stitch" or "zoo=lst_text" in words)
    assert not [problem for problem in of_samples(found) if "paired" in problem.what]
