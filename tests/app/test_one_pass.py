"""A run works out once what it asks for: key, manifests, missing encoders, checks, and composes once."""

import sys
from collections import Counter

import pytest
import tiny_vision
from tiny_images import write_folders

COUNTED = {
    ("tasks/identity.py", "record_identity"),
    ("data/manifest.py", "manifest"),
    ("encoders/zoo.py", "missing"),
    ("app/request.py", "Request.require"),
    ("app/request.py", "Request.__init__"),
    ("config/load.py", "load"),
}


@pytest.fixture
def counts(told):
    """A function that runs a command line: how often each function was called, and Hydra composed."""

    def run(*words):
        calls = Counter()

        def profile(frame, event, _):
            code = frame.f_code
            if event != "call":
                return
            if code.co_filename.endswith("config_loader_impl.py") and code.co_name == "load_configuration":
                calls["compose"] += 1
            for file, name in COUNTED:
                if code.co_qualname == name and code.co_filename.endswith(f"relrep_exp/{file}"):
                    calls[name] += 1

        sys.setprofile(profile)
        try:
            code, _, err = told(*words)
        finally:
            sys.setprofile(None)
        assert (code, err) == (0, "")
        return calls

    return run


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The mission's command on two tiny checkpoints and a folder of images."""
    folder = tmp_path_factory.mktemp("mission")
    timm, images = tiny_vision.save(folder / "timm"), write_folders(folder / "images")
    return [
        *("task=cifar_stitch", "anchors=param", "sim=wip", "data=cifar10", f"data.root={images}"),
        *("~zoo.encoders.vit_b", "~zoo.encoders.vit_r50", "zoo.skip_missing=true"),
        f"zoo.encoders.vit_s.path={timm[tiny_vision.VIT]}",
        f"zoo.encoders.rexnet.path={timm[tiny_vision.REXNET]}",
        *("anchors.m=3", "anchors.epochs=2", "decoder.epochs=1", "logger=none"),
    ]


def test_each_fact_is_worked_out_once_in_a_run_and_in_one_that_only_reads(counts, words, outputs):
    once = dict.fromkeys(("record_identity", "missing", "Request.require", "Request.__init__", "load"), 1)
    for times in (2, 1):  # computed: asked again at the end, as files may have changed meanwhile; then read
        found = counts(*words, f"paths.outputs={outputs}")
        folders = found.pop("manifest")
        assert found == {**once, "compose": 1}
        assert folders == 3 * times  # two checkpoints and the images
