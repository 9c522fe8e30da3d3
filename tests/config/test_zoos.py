"""The papers' tasks from the command line to the record, on tiny checkpoints and data in local folders."""

import json
import shutil

import huggingface_hub.constants
import numpy as np
import pytest
import tiny_text
import tiny_vision
from tiny_images import write_folders, write_idx

from relrep_exp.app.plan import make_plan
from relrep_exp.errors import UserError

METHOD = ["anchors=random", "anchors.m=5", "decoder=linear", "logger=none"]
LANGUAGES = ("de", "en")
TOPICS = ("sports", "travel", "health")


@pytest.fixture(scope="module")
def timm_folders(tmp_path_factory):
    return tiny_vision.save(tmp_path_factory.mktemp("timm"))


@pytest.fixture
def vision(timm_folders, outputs):
    """Two of the paper's four encoders, from folders."""
    words = [
        "task=cifar_stitch",
        *METHOD,
        f"paths.outputs={outputs}",
        "~zoo.encoders.vit_b",
        "~zoo.encoders.vit_r50",
    ]
    words += [f"zoo.encoders.vit_s.path={timm_folders[tiny_vision.VIT]}"]
    return [*words, f"zoo.encoders.rexnet.path={timm_folders[tiny_vision.REXNET]}"]


@pytest.fixture
def mnist(tmp_path):
    """Forty images whose brightness tells their class, as MNIST's files."""
    labels = np.arange(14) % 2
    pixels = np.random.default_rng(0).integers(0, 100, (14, 28, 28)) + 120 * labels[:, None, None]
    return ["data=mnist", f"data.root={write_idx(tmp_path / 'mnist', pixels, labels)}"]


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """Nothing was ever downloaded, whatever this machine has."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "no_cache"))


def values(record, metric):
    return {(row.source, row.target): row.value for row in record.rows if row.metric == metric}


def test_timm_encoders_from_folders_are_stitched_and_read_again(told, vision, mnist, record, outputs):
    code, out, err = told(*vision, *mnist)
    assert (code, err) == (0, "") and "cifar_stitch: random-wip" in out
    assert values(record(), "f1_weighted").keys() == {
        (s, t) for s in ("vit_s", "rexnet") for t in ("vit_s", "rexnet")
    }
    assert set(record().config["encoders"]) == {"vit_s", "rexnet"} and record().provenance["revisions"] == {}
    assert str(outputs.parent) not in json.dumps(
        record().config
    )  # where files lie is no part of a record's key
    code, out, _ = told(*vision, *mnist, "runtime.batch=3", "runtime.workers=1", "runtime.shard=5")
    assert code == 0 and "nothing was computed" in out
    assert len(list((outputs / "embeddings").glob("*/manifest.json"))) == 2


def test_precision_and_resizing_are_part_of_what_is_cached(vision, mnist):
    requests = [
        make_plan([*vision, *mnist, *more], sweep=False)[0].request
        for more in ([], ["zoo.dtype=bf16"], ["runtime.resize=device"])
    ]
    assert len({request.key for request in requests}) == 3
    assert len({key for one in requests for key in one.embedding_keys(one.own).values()}) == 6


def test_a_corrupt_image_is_named_or_left_out_for_every_encoder(told, vision, tmp_path, record):
    root = write_folders(tmp_path / "animals")
    broken = sorted((root / "train").glob("*/*.png"))[2]
    broken.write_bytes(broken.read_bytes()[:60])
    words = [*vision, "data=cifar10", f"data.root={root}", "anchors.m=3"]
    code, _, err = told(*words)
    assert code == 2 and "cannot be read" in err and "data.on_error=skip" in err and broken.name in err
    code, _, _ = told(*words, "data.on_error=skip")
    assert code == 0
    left_out = record().diagnostics["samples"]["left_out"]
    assert {name: lost["rows"] for name, lost in left_out.items()} == {"vit_s": 1, "rexnet": 1}
    assert told(*words)[0] == 2  # numbers without that image are no answer to a request for all of them


@pytest.mark.slow
def test_a_full_disk_keeps_the_finished_shards(told, vision, mnist, small_disk):
    disk = small_disk / "outputs"
    words = [*vision, *mnist, f"paths.outputs={disk}", "runtime.shard=2", "zoo.encoders.vit_s.path=PATH"]
    words[-1] = next(word for word in vision if word.startswith("zoo.encoders.vit_s.path"))
    disk.mkdir()
    filler = small_disk / "filler"
    filler.write_bytes(b"0" * (256 * 1024 - 72 * 1024))
    code, _, err = told(*words)
    assert code == 2 and "the disk is full" in err and "Traceback" not in err
    assert list((disk / "embeddings").glob("*.parts/*.safetensors"))
    filler.unlink()
    assert told(*words)[0] == 0


@pytest.mark.slow
def test_encoders_that_are_missing_are_dropped_only_when_asked(
    told, timm_folders, mnist, outputs, record, no_cache, caplog
):
    words = ["task=cifar_stitch", *mnist, *METHOD, f"paths.outputs={outputs}", "runtime.offline=true"]
    words += [f"zoo.encoders.vit_s.path={timm_folders[tiny_vision.VIT]}"]
    words += [f"zoo.encoders.rexnet.path={timm_folders[tiny_vision.REXNET]}"]
    code, _, err = told(*words)
    assert code == 2 and "zoo.encoders.vit_b" in err and "zoo.encoders.vit_r50" in err
    assert "zoo.skip_missing=true" in err and "prefetch.py" in err
    assert told(*words, "zoo.skip_missing=true")[0] == 0
    assert "leaves out vit_b, vit_r50" in caplog.text
    assert set(record().diagnostics["samples"]["skipped_encoders"]) == {"vit_b", "vit_r50"}
    assert set(record().config["encoders"]) == {"vit_s", "rexnet"}
    assert told(*words, "~zoo.encoders.vit_b", "~zoo.encoders.vit_r50")[0] == 0
    notes = [json.loads(path.read_text())["diagnostics"] for path in (outputs / "records").glob("*.json")]
    assert sorted("skipped_encoders" in it["samples"] for it in notes) == [False, True]
    only = [word for word in words if "rexnet" not in word]
    code, _, err = told(*only, "zoo.skip_missing=true")
    assert code == 2 and "leaves 1 of 4 encoders" in err


@pytest.fixture
def sib200(tmp_path):
    """Sentences in two languages, as SIB-200's folders."""
    for code in ("deu_Latn", "eng_Latn"):
        folder = tmp_path / "sib200" / code
        folder.mkdir(parents=True)
        for split, rows in (("train", range(24)), ("dev", range(24, 27)), ("test", range(27, 39))):
            lines = [
                f"{row}\t{TOPICS[row % 3]}\tthe cat number {row} likes {TOPICS[row % 3]}" for row in rows
            ]
            (folder / f"{split}.tsv").write_text("\n".join(["index_id\tcategory\ttext", *lines, ""]))
    return ["task=sib200_stitch", f"data.root={tmp_path / 'sib200'}"]


def bert_words(tmp_path):
    """A BERT of one's own for each of two languages, in place of the zoo's five."""
    words = [f"~zoo.encoders.{name}" for name in ("es", "fr", "zh")]
    for seed, (language, family) in enumerate(zip(LANGUAGES, ("bert", "camembert"), strict=True)):
        folder = tiny_text.save(family, tmp_path / language, seed)
        words.append(f"zoo.encoders.{language}.path={folder}")
    return words


def test_berts_from_folders_read_their_languages(told, sib200, tmp_path, outputs, record):
    words = [*sib200, *bert_words(tmp_path), *METHOD, f"paths.outputs={outputs}"]
    assert told(*words)[0] == 0
    assert values(record(), "f1_weighted").keys() == {(s, t) for s in LANGUAGES for t in LANGUAGES}
    others = (
        make_plan([*words, f"zoo.encoders.de.{word}"], sweep=False) for word in ("layer=1", "pooling=mean")
    )
    assert len({record().key, *(run.key for [run] in others)}) == 3
    shutil.rmtree(tmp_path / "sib200" / "deu_Latn")
    code, _, err = told(*words, "seed=1")
    assert code == 2 and "deu_Latn" in err


def test_language_models_from_folders_retrieve_each_others_sentences(told, tmp_path, outputs, record):
    words = ["task=slm_retrieval", "data.train=40", "data.test=20", *METHOD, f"paths.outputs={outputs}"]
    words += ["~zoo.encoders.gpt2_medium", "~zoo.encoders.gemma3_1b"]
    for name, family in (("tinyllama", "llama"), ("gpt2", "gpt2")):
        words.append(f"zoo.encoders.{name}.path={tiny_text.save(family, tmp_path / family)}")
    code, out, _ = told(*words)
    assert code == 0 and "R@1" in out
    assert values(record(), "recall@1").keys() == {("tinyllama", "gpt2"), ("gpt2", "tinyllama")}
    assert "decoder" not in record().config
    assert not values(record(), "f1_weighted")


@pytest.fixture
def reviews(tmp_path):
    """Reviews that are different ones in each language, and aligned sentences beside them."""
    good, bad = ("good", "gut"), ("bad", "schlecht")
    for number, language in enumerate(LANGUAGES):
        folder = tmp_path / "reviews" / language
        folder.mkdir(parents=True)
        for split, count in (("train", 30 + number), ("test", 12 + number)):
            rows = [
                f"{(good, bad)[n % 2][number]} thing number {n},{(4, 1, 3, 0)[n % 4]}" for n in range(count)
            ]
            (folder / f"{split}.csv").write_text("\n".join(["text,label", *rows, "a middling thing,2", ""]))
        aligned = [f"{(good, bad)[row % 2][number]} day number {row}" for row in range(60)]
        (tmp_path / f"{language}.txt").write_text("\n".join([*aligned, ""]))
    words = ["task=marc_stitch", f"data.root={tmp_path / 'reviews'}", "zoo=lsa"]
    words += [f"~zoo.encoders.{name}" for name in ("es", "fr", "zh")]
    return [*words, "zoo.encoders.de.dim=6", "zoo.encoders.en.dim=5"]


@pytest.mark.slow
def test_reviews_that_are_not_parallel_need_a_parallel_source(
    told, reviews, tmp_path, outputs, record, config_of
):
    words = [*reviews, *METHOD, f"paths.outputs={outputs}"]
    code, _, err = told(*words, "parallel=own")
    assert code == 2 and "nothing is paired" in err and "parallel=xnli" in err
    files = ["parallel=files", f"parallel.root={tmp_path}"]
    code, _, err = told(*words, *files)
    assert code == 0, err
    kept = record()
    assert kept.config["parallel"].keys() == set(LANGUAGES)
    assert values(kept, "f1_weighted").keys() == {(s, t) for s in LANGUAGES for t in LANGUAGES}
    assert values(kept, "mrr").keys() == {("de", "en"), ("en", "de")}
    (tmp_path / "en.txt").write_text("one line too few\n" * 59)
    code, _, err = told(*words, *files)
    assert code == 2 and "59" in err and "60" in err


def test_samples_that_are_parallel_need_none(told, sib200, outputs, record, tmp_path):
    """A task's own choice of a parallel source is for samples that lack one."""
    words = ["task=marc_stitch", "data=sib200", sib200[1], "zoo=lsa", *METHOD, f"paths.outputs={outputs}"]
    words += [f"~zoo.encoders.{name}" for name in ("es", "fr", "zh")]
    words += ["zoo.encoders.de.dim=6", "zoo.encoders.en.dim=5"]
    assert told(*words)[0] == 0
    assert "parallel" not in record().config
    code, _, err = told(*words, "parallel.use=always", "runtime.offline=true")
    assert code == 2 and "facebook/xnli" in err


def test_what_the_hub_lacks_and_what_is_wrong_here_are_told_at_once(told, outputs, no_cache, tmp_path):
    words = [*METHOD, f"paths.outputs={outputs}", "runtime.offline=true"]
    paths = [
        "zoo.encoders.vit_s.path=/not/there",
        f"data.root={tmp_path / 'no'}",
        "zoo.encoders.vit_b.path=/nor",
    ]
    code, _, err = told("task=cifar_stitch", *paths, *words)
    assert code == 2 and "rexnet_100" in err and f"data.root={tmp_path / 'no'}" in err
    assert "no folder /not/there" in err and "no folder /nor" in err
    code, _, err = told("task=slm_retrieval", "zoo=bert", *words)
    assert code == 2 and "bert-base-uncased" in err and "no template sentences in 'de'" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=cifar_stitch", "data=sib200"], "encoders read images"),
        (["task=slm_retrieval", "data=digits"], "encoders read texts"),
        (["task=digits_stitch", "parallel=ntrex"], "use parallel=own"),
        (["task=sib200_stitch", "parallel=sib200"], "parallel.splits=[dev,train]"),
        (["task=sib200_stitch", "data.test=[dev]"], "data.train and data.test share dev"),
        (["task=cifar_stitch", "data.test=train"], "data.train and data.test share train"),
        (["task=precomputed_stitch", "zoo.path=x", "data=digits"], "use data=precomputed"),
        (["task=slm_retrieval", "zoo=slm_local", "data=template_reviews"], "data=templates"),
        (["task=slm_retrieval", "zoo=slm_local", "aligner=absolute"], "no space that two encoders share"),
        (["task=geometry", "aligner=absolute"], "no space that two encoders share, which geometry needs"),
        (["task=geometry", "data=digits"], "encoders read points"),
        (["task=digits_stitch", "data=clusters"], "encoders read images"),
        (["task=geometry", "data.dim=1"], "zoo.encoders.rotated turns or stretches points"),
        (["task=geometry", "zoo.encoders.stretched.condition=0.5"], "greater than or equal to 1"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_read(words, message, outputs):
    with pytest.raises(UserError) as refused:
        [run] = make_plan([*words, *METHOD, f"paths.outputs={outputs}"], sweep=False)
        run.request.require()
    assert message in str(refused.value)
    assert not any(outputs.rglob("*"))
