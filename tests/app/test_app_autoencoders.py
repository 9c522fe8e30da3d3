"""task=mnist_ae from the command line to the record, and everything that it refuses."""

import math

import pytest
from tiny_images import write_idx

from relrep_exp.store.records import RecordStore

AES = ("ae1", "ae2", "ae3", "ae4")
QUICK = [
    "zoo.latent=6",
    "zoo.channels=[4]",
    "zoo.epochs=1",
    "zoo.least_steps=3",
    "decoder.channels=[4]",
    "decoder.epochs=1",
    "decoder.least_steps=3",
    "anchors=random",
    "anchors.m=5",
    "logger=none",
    "runtime.threads=1",
]


@pytest.fixture
def root(tmp_path):
    return write_idx(tmp_path / "idx")


@pytest.fixture
def words(root, outputs):
    """A run of seconds on fourteen images in MNIST's own format."""
    return ["task=mnist_ae", "data=mnist", f"data.root={root}", *QUICK, f"paths.outputs={outputs}"]


def records(outputs):
    store = RecordStore(outputs / "records")
    return [store.find(path.stem) for path in sorted((outputs / "records").glob("*.json"))]


def test_a_run_measures_every_ordered_pair_and_a_second_one_reads(told, words, outputs):
    code, out, err = told(*words)
    assert code == 0, err
    [record] = records(outputs)
    for metric in ("mse", "psnr", "ssim", "own_mse"):
        found = {(r.source, r.target): r.value for r in record.rows if r.metric == metric}
        assert found.keys() == {(source, target) for source in AES for target in AES}
        assert all(math.isfinite(value) for value in found.values())
    floors = {row.value for row in record.rows if row.metric == "variance"}
    assert len(floors) == 1 and 0 < floors.pop() < 1
    assert len([row for row in record.rows if row.metric == "autoencoder_mse"]) == len(AES)
    assert "MSE" in out
    assert "nothing was computed" in told(*words)[1]


@pytest.mark.parametrize(
    "method",
    [
        "anchors=param_single",
        *(pytest.param(f"anchors={name}", marks=pytest.mark.slow) for name in ("param", "kmeans", "fps")),
    ],
)
def test_every_strategy_works(told, words, outputs, method):
    more = ["anchors.epochs=2"] if "param" in method else []
    code, _, err = told(*words, method, *more, "task.test_encoders=[ae4]")
    assert code == 0, err
    [record] = records(outputs)
    assert {row.target for row in record.rows} == {"ae4"}


def test_absolute_is_drawn_within_an_encoder(told, words, outputs):
    code, _, err = told(*words, "aligner=absolute")
    assert code == 0, err
    [record] = records(outputs)
    assert {(r.source, r.target) for r in record.rows if r.metric == "mse"} == {(ae, ae) for ae in AES}


def test_decoders_that_exist_are_not_trained_again(told, words, outputs):
    """A run that was stopped goes on behind its last decoder; here the record alone is lost."""
    told(*words)
    [record] = records(outputs)
    (outputs / "records" / f"{record.key}.json").unlink()
    trained = sorted(path.stat().st_mtime_ns for path in outputs.rglob("*.safetensors"))
    assert told(*words)[0] == 0
    [again] = records(outputs)
    assert again.rows == record.rows
    assert sorted(path.stat().st_mtime_ns for path in outputs.rglob("*.safetensors")) == trained


@pytest.mark.parametrize(
    ("more", "what", "remedy"),
    [
        (["zoo.anisotropy=0.5"], "zoo.anisotropy=0.5: input should be greater than or equal to 1", "give"),
        (["zoo.latent=37"], "zoo.latent=37 is larger than the images", "zoo.latent=36 or less"),
        (["anchors.m=10"], "random picks from 9 support samples", "set anchors.m=9 or less"),
        ([f"~zoo.encoders.{ae}" for ae in AES[1:]], "one encoder only: ae1", "at least two"),
        (["decoder=mlp"], "decoder=mlp classifies, and task=mnist_ae draws images", "use decoder=conv"),
        (["task.test_encoders=[ae5]"], "there is no encoder ae5", "did you mean ae"),
        (["zoo=lsa"], "data=mnist does not go with this zoo", "use data="),
        (["data.root=/no/such"], "there is no such folder", "give the folder"),
    ],
)
def test_wrong_requests_are_told(told, words, outputs, more, what, remedy):
    own = [word for word in words if not any(word.startswith(m.split("=")[0] + "=") for m in more)]
    if more == ["zoo=lsa"] or more == ["decoder=mlp"]:
        own = [word for word in own if not word.startswith(f"{more[0].split('=')[0]}.")]
    code, out, err = told(*own, *more)
    assert (code, out) == (2, "")
    assert what in err and remedy in err and "Traceback" not in err
    assert not (outputs / "records").exists() or not records(outputs)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda raw: raw[:-7], "bytes of data, expected"),
        (lambda raw: b"\0\0\x08\x01" + raw[4:], "starts with 00 00 08 01, expected 00 00 08 03"),
    ],
)
def test_damaged_idx_files_are_told_before_anything_is_trained(told, tmp_path, outputs, damage, what):
    root = write_idx(tmp_path / "plain", packed=False)
    path = root / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    words = ["task=mnist_ae", "data=mnist", f"data.root={root}", *QUICK, f"paths.outputs={outputs}"]
    code, out, err = told(*words)
    assert (code, out) == (2, "")
    assert what in err and "download it again" in err and "Traceback" not in err
    assert not list(outputs.rglob("*.safetensors"))


def test_a_decoder_of_images_does_not_classify(told, outputs):
    code, _, err = told("task=digits_stitch", "decoder=conv", "logger=none", f"paths.outputs={outputs}")
    assert code == 2
    assert "decoder=conv draws images, and task=digits_stitch classifies" in err
