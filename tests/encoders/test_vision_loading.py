"""Encoders of timm: known by their weights, loaded whole from a folder or the hub's cache, or refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from making import HOW, encode, publish, sources, told
from safetensors.torch import load_file, save_file
from tiny_vision import COLOUR, REXNET, VIT, source

from relrep_exp.config.schema import TimmEncoderConfig, TimmZoo
from relrep_exp.encoders import vision_model

COMMIT = "5eed" * 10


@pytest.fixture
def copied(folders, tmp_path):
    """The ViT's folder, to be spoilt."""
    return lambda: shutil.copytree(folders[VIT], tmp_path / "mine")


# Identity


def test_identity_is_of_the_content_and_the_precision(folders, copied):
    one = source(folders[VIT]).identity()
    assert json.loads(json.dumps(one)) == one and str(folders[VIT]) not in json.dumps(one)
    folder = copied()
    assert source(folder).identity() == one
    assert source(folder, dtype="bf16").identity() != one
    assert source(folder, resize="device").identity() != one
    assert source(folder, offline=False, workers=2, batch=3).identity() == one
    for name in ("config.json", "model.safetensors"):
        before = source(folder).identity()
        raw = bytearray((folder / name).read_bytes())
        raw[-1] ^= 1
        (folder / name).write_bytes(raw)
        assert source(folder).identity() != before


# The hub


@pytest.fixture
def hub_cache(folders, tmp_path, monkeypatch):
    """The hub's local cache with the ViT in it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    publish(folders[VIT], tmp_path / "hub", f"timm/{VIT}", COMMIT)


@pytest.mark.parametrize("name", [VIT, f"timm/{VIT}"])
def test_a_model_of_the_hub_is_loaded_from_its_cache(hub_cache, vision_of, name):
    one = source(None, name)
    assert one.identity()["commit"] == COMMIT
    assert torch.equal(encode(one.load(HOW), COLOUR), encode(vision_of(VIT), COLOUR))


def test_a_pinned_commit_that_is_not_here(hub_cache):
    one = source(None)
    pinned = replace(one, config=replace(one.config, revision="0" * 40))
    (problem,) = told(pinned.load, HOW)
    assert VIT in problem.what


# Faults


def test_everything_that_folders_lack_is_told_at_once(tmp_path):
    (tmp_path / "empty").mkdir()
    encoders = {
        "one": TimmEncoderConfig(VIT, path=str(tmp_path / "none")),
        "two": TimmEncoderConfig(VIT, path=str(tmp_path / "empty")),
    }
    problems = told(sources, TimmZoo("timm", "tiny", encoders))
    assert "zoo.encoders.one: there is no folder" in problems[0].what
    assert "has no config.json" in problems[1].what
    assert "has no model.safetensors or pytorch_model.bin" in problems[2].what
    assert all("config.json and model.safetensors" in problem.remedy for problem in problems)


def test_another_architecture_than_the_configuration_says(folders):
    (problem,) = told(source(folders[REXNET], VIT).load, HOW)
    assert f"zoo.encoders.one.model={VIT}" in problem.what and "holds rexnet_100" in problem.what
    assert "set zoo.encoders.one.model=rexnet_100" in problem.remedy


def test_an_architecture_that_timm_does_not_know(copied):
    folder = copied()
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**said, "architecture": "vit_smal_patch16_224"}))
    (problem,) = told(source(folder).load, HOW)
    assert "'vit_smal_patch16_224'" in problem.what and "did you mean vit_small_patch16_224" in problem.remedy


def test_a_model_of_the_hub_that_timm_does_not_know_is_not_downloaded(monkeypatch):
    from relrep_exp.data import hub

    monkeypatch.setattr(hub, "snapshot", None)
    (problem,) = told(source(None, "rexnet_10.nav_in1k").load, HOW)
    assert "zoo.encoders.one.model" in problem.what and "did you mean rexnet_1" in problem.remedy


def test_a_damaged_config(copied):
    folder = copied()
    for text in ("{", "[]", "{}", '"text"', '{"architecture": []}'):
        (folder / "config.json").write_text(text)
        (problem,) = told(source(folder).load, HOW)
        assert "config.json" in problem.what


def rewritten(change):
    def spoil(path):
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)

    return spoil


WEIGHTS = {
    "one missing": (rewritten(lambda it: it.pop("blocks.1.mlp.fc2.weight")), "fc2.weight"),
    "one too many": (rewritten(lambda it: it.update({"blocks.2.mlp.x": torch.ones(3)})), "blocks.2"),
    "another shape": (rewritten(lambda it: it.update({"norm.weight": torch.ones(33)})), "norm.weight"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "model.safetensors"),
}


@pytest.mark.parametrize(("spoil", "said"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_not_the_models(copied, spoil, said):
    folder = copied()
    spoil(folder / "model.safetensors")
    (problem,) = told(source(folder).load, HOW)
    assert said in problem.what and str(folder / "model.safetensors") in problem.what


class Malice:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_weights_are_read_but_not_executed(copied, folders, vision_of, tmp_path):
    folder = copied()
    (folder / "model.safetensors").unlink()
    torch.save(load_file(folders[VIT] / "model.safetensors"), folder / "pytorch_model.bin")
    assert torch.equal(encode(source(folder).load(HOW), COLOUR), encode(vision_of(VIT), COLOUR))
    torch.save({"norm.weight": Malice(tmp_path / "executed")}, folder / "pytorch_model.bin")
    (problem,) = told(source(folder).load, HOW)
    assert "pytorch_model.bin" in problem.what and "weights_only" in problem.what
    assert not (tmp_path / "executed").exists()


def test_loading_draws_no_random_numbers_of_the_run_and_understands_a_home_folder(folders, monkeypatch):
    monkeypatch.setenv("HOME", str(folders[VIT].parent))
    before = torch.get_rng_state()
    assert source(f"~/{VIT}").load(HOW).dim == 32
    assert torch.equal(torch.get_rng_state(), before)


CHANGES = [
    {"crop_mode": "squash"},
    {"crop_mode": "border"},
    {"interpolation": "lanczos"},
    {"crop_pct": 1.2},
    {"input_size": (3, 32, 48)},
    {"input_size": (1, 32, 32)},
]


def test_what_cannot_be_resized_on_a_device_is_refused(copied):
    data = {"input_size": (3, 32, 32), "interpolation": "bicubic", "crop_mode": "center", "crop_pct": 0.9}
    for change in CHANGES:
        (problem,) = told(vision_model.check_device_resize, {**data, **change}, "zoo.encoders.one")
        assert f"{next(iter(change))}=" in problem.what and problem.remedy == "use runtime.resize=worker"
    folder = copied()
    said = json.loads((folder / "config.json").read_text())
    said["pretrained_cfg"]["crop_mode"] = "squash"
    (folder / "config.json").write_text(json.dumps(said))
    assert "crop_mode=squash" in told(source(folder, resize="device").load, HOW)[0].what
    assert source(folder).load(HOW).dim == 32
