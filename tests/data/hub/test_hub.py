"""The hub: only what is needed, only when it may be, and every refusal in the user's terms. No network."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest
from fake_hub import COMMIT, TOKEN, FakeRepo, Serve, point_to
from huggingface_hub import constants

from relrep_exp.data import hub
from relrep_exp.data.hub import Repo, access, cache, remote
from relrep_exp.errors import UserError

WEIGHTS = bytes(range(256)) * 800
MODEL = {
    "config.json": b"{}",
    "tokenizer.json": b'{"t": 1}',
    "vocab.txt": b"a\nb\n",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickled",
    "tf_model.h5": b"tf",
    "flax_model.msgpack": b"flax",
    "model.gguf": b"gguf",
    "onnx/model.onnx": b"onnx",
    "onnx/config.json": b"{}",
    "README.md": b"# card",
}
DATA = {
    "README.md": b"# card",
    "loader.py": b"raise SystemExit",
    "de/train-00000-of-00002.parquet": b"d0",
    "de/train-00001-of-00002.parquet": b"d1",
    "de/test-00000-of-00001.parquet": b"d2",
    "de/train.jsonl": b"the same again",
    "fr/train-00000-of-00001.parquet": b"f0",
    "fr/test-00000-of-00001.parquet": b"f1",
}
DE, FR = "de/*|*/de/*", "fr/*|*/fr/*"
MOVED = "2e" * 20
BERT = Repo("owner/bert", "model", key="zoo.encoders.de")
TEXTS = Repo("owner/texts", "dataset", files=(DE,), key="data")


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def message(repo: Repo, offline: bool = False) -> str:
    with pytest.raises(UserError) as raised:
        hub.snapshot(repo, offline)
    return str(raised.value)


def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_download_takes_one_format_of_the_weights_and_no_other_framework(serve: Serve) -> None:
    pickled = {name: content for name, content in MODEL.items() if name != "model.safetensors"}
    only_pickled = FakeRepo({**pickled, "training_args.bin": b"p", "optimizer.pt": b"p"})
    running = serve(models_bert=FakeRepo(MODEL), models_old=only_pickled)
    folder = hub.snapshot(BERT, offline=False)
    others = {"config.json", "tokenizer.json", "vocab.txt"}
    assert files_in(folder) == {*others, "model.safetensors"} == set(running.downloads())
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert files_in(hub.snapshot(Repo("owner/old", "model"), False)) == {*others, "pytorch_model.bin"}


def test_data_of_one_language_come_without_the_others_and_without_programs(serve: Serve) -> None:
    serve(datasets_texts=FakeRepo(DATA))
    folder = hub.snapshot(TEXTS, False)
    assert files_in(folder) == {
        "README.md",
        *(name for name in DATA if name.startswith("de/t") and "parq" in name),
    }
    both = Repo("owner/texts", "dataset", files=(DE, FR), key="data")
    assert cache.find(both).lacking, "the other language is not here yet"
    assert {name.split("/")[0] for name in files_in(hub.snapshot(both, False))} == {"README.md", "de", "fr"}


def test_the_second_time_needs_no_hub(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    running = serve(models_bert=FakeRepo(MODEL), datasets_texts=FakeRepo(DATA))
    folders = [hub.snapshot(repo, False) for repo in (BERT, TEXTS)]
    running.stop()
    access._listings.clear()
    no_connections(monkeypatch)
    for offline in (False, True):
        assert [hub.snapshot(repo, offline) for repo in (BERT, TEXTS)] == folders
        assert [hub.commit(repo, offline) for repo in (BERT, TEXTS)] == [COMMIT, COMMIT]
        assert hub.check([BERT, TEXTS], offline) == {}
    assert [status.missing for status in hub.survey([BERT, TEXTS], False).values()] == [0, 0]


def test_a_commit_is_asked_for_once_and_a_branch_that_moves_moves_no_run(serve: Serve) -> None:
    running = serve(models_bert=FakeRepo(MODEL))
    assert hub.commit(Repo("owner/bert", "model", MOVED), False) == MOVED
    assert running.requests == [], "a pinned one is not asked for"
    assert hub.commit(BERT, False) == COMMIT
    running.move("models/owner/bert", MOVED)
    assert hub.commit(BERT, False) == COMMIT, "a run must not change its commit on the way"
    folder = hub.snapshot(BERT, False)
    access._listings.clear()  # the next run
    assert hub.snapshot(BERT, False) == folder
    assert folder.name == COMMIT
    assert hub.snapshot(Repo("owner/bert", "model", MOVED), False).name == MOVED
    assert hub.commit(BERT, False) == COMMIT


def test_offline_touches_no_socket(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(models_bert=FakeRepo(MODEL))
    no_connections(monkeypatch)
    for offline in (True, False):
        text = message(BERT, offline)
        assert "owner/bert (zoo.encoders.de)" in text
        assert "runtime.offline" in text
        assert set(hub.check([BERT, TEXTS], offline)) == {BERT, TEXTS}
        with pytest.raises(UserError):
            hub.commit(BERT, offline)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # in the second round it is the environment


def test_gated_says_where_to_accept_and_never_the_token(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = serve(models_bert=FakeRepo(MODEL, gated=True))
    monkeypatch.setenv("HF_TOKEN", "hf_thisIsTheWrongSecret")
    problem = str(hub.check([BERT], False)[BERT])
    for text in (problem, message(BERT)):
        assert f"open {running.url}/owner/bert, accept" in text
        assert "hf auth login" in text
        assert "HF_TOKEN" in text
        assert "zoo.encoders.de.path=" in text
        assert "WrongSecret" not in text
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "model.safetensors" in files_in(hub.snapshot(BERT, False))


def test_a_refused_token_is_told_once(serve: Serve) -> None:
    running = serve()
    running.status = 401
    found = hub.check([BERT, TEXTS], False)
    assert found[BERT] is found[TEXTS]
    assert "refuses the token" in str(found[BERT])


def test_wrong_names_wrong_commits_and_useless_repositories(serve: Serve) -> None:
    serve(models_bert=FakeRepo(MODEL), models_onnx=FakeRepo({"config.json": b"{}", "onnx/model.onnx": b"o"}),
          datasets_texts=FakeRepo(DATA))  # fmt: skip
    wrong = {
        Repo("owner/bret", "model", key="zoo.encoders.de"): ["no model owner/bret", "/owner/bret", "private"],
        Repo("hf-hub:o/x", "model", key="zoo.encoders.x"): ["no model hf-hub:o/x"],
        Repo("timm/vit_small", "model", key="zoo.encoders.v"): ["no model timm/vit_small", "tag"],
        Repo("owner/bert", "model", MOVED, key="zoo.encoders.de"): [MOVED, "zoo.encoders.de.revision=null"],
        Repo("owner/onnx", "model", key="zoo.encoders.o"): [
            "no weights",
            "onnx/model.onnx",
            "zoo.encoders.o.path",
        ],
        Repo("owner/texts", "dataset", files=(DE, "it/*"), key="data"): ["no it/*", "de/test", "data.root="],
    }
    found = hub.check([*wrong, BERT], False)
    assert list(found) == list(wrong)
    for repo, parts in wrong.items():
        for part in parts:
            assert part in str(found[repo]), part


def test_an_interrupted_download_goes_on(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    running = serve(models_bert=FakeRepo(MODEL))
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    running.break_after = 20_000
    pinned = Repo("owner/bert", "model", COMMIT, key="zoo.encoders.de")
    text = message(pinned)
    assert "broke off" in text
    assert "again" in text
    assert "here but for model.safetensors" in message(pinned, offline=True)
    running.break_after = None
    assert (hub.snapshot(pinned, False) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_transfer_that_fails_in_its_own_way_broke_off(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(models_bert=FakeRepo(MODEL))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Data processing error: CAS service error")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", fail)
    assert "broke off: Data processing error" in message(BERT)


def test_a_truncated_copy_is_told_offline_and_mended_online(serve: Serve) -> None:
    serve(models_bert=FakeRepo(MODEL))
    weights = hub.snapshot(BERT, False) / "model.safetensors"
    os.truncate(weights.resolve(), 100)
    assert "here but for model.safetensors" in message(BERT, offline=True)
    assert hub.snapshot(BERT, False) == weights.parent
    assert weights.read_bytes() == WEIGHTS


def test_without_the_hubs_own_list_a_copy_is_judged_by_its_files(serve: Serve) -> None:
    serve(models_bert=FakeRepo(MODEL), datasets_texts=FakeRepo(DATA))
    model, data = hub.snapshot(BERT, False), hub.snapshot(TEXTS, False)
    for folder in (model, data):
        for listing in (folder.parents[1] / "trees").iterdir():
            listing.unlink()
    assert hub.check([BERT, TEXTS], True) == {}
    (model / "model.safetensors").resolve().unlink()  # the link stays and leads nowhere
    (data / "de" / "train-00001-of-00002.parquet").unlink()
    found = hub.check([BERT, TEXTS], True)
    assert "here but for" in str(found[BERT])
    assert "de/train-00001-of-00002.parquet" in str(found[TEXTS])
    (model / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    (model / "model-00001-of-00002.safetensors").write_bytes(b"w")
    assert "model-00002-of-00002.safetensors" in str(hub.check([BERT], True)[BERT])
    (model / "model-00002-of-00002.safetensors").write_bytes(b"w")
    assert hub.check([BERT], True) == {}


def test_a_hub_that_never_answers_is_unreachable_in_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    monkeypatch.setattr(remote, "PATIENCE_SECONDS", 0.6)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        point_to(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        begin = time.monotonic()
        many = [Repo(f"owner/model{n}", "model", key=f"zoo.encoders.m{n}") for n in range(6)]
        found = hub.check([*many, TEXTS], False)
        assert time.monotonic() - begin < 1.5, "all are asked at once"
        begin = time.monotonic()
        hub.check(many[:1], False)
        assert time.monotonic() - begin < 0.3, "and not again soon after"
    assert len({id(problem) for problem in found.values()}) == 1, "the advice is given once"
    text = str(found[TEXTS])
    assert all(repo.id in text and repo.key in text for repo in found)
    for part in ("cannot be reached", "scripts/prefetch.py", "HF_HOME", "data.root=", "zoo.encoders.m0.path=",
                 "zoo.skip_missing=true", "task=digits_stitch"):  # fmt: skip
        assert part in text, part


def test_a_name_server_that_hangs_does_not_hold_up_the_check(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    point_to(monkeypatch, "http://hub.invalid")
    monkeypatch.setattr(remote, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(3))
    begin = time.monotonic()
    assert "cannot be reached" in str(hub.check([BERT], False)[BERT])
    assert time.monotonic() - begin < 1.5


def test_no_secret_gets_into_a_reason() -> None:
    error = OSError("proxy http://me:passw0rd@proxy:1 said no to Bearer hf_abcDEF123\nmore")
    assert remote._reason(error) == "proxy http://***proxy:1 said no to Bearer ***"


def test_a_cache_that_cannot_be_written_is_a_users_problem(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve(models_bert=FakeRepo(MODEL))
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    text = message(BERT)
    assert f"cannot write into the hub's cache, {tmp_path / 'file' / 'hub'}" in text
    assert "HF_HOME=" in text


def test_a_survey_counts_what_is_needed_and_not_here(serve: Serve) -> None:
    serve(models_bert=FakeRepo(MODEL), datasets_texts=FakeRepo(DATA))
    needed = sum(len(MODEL[n]) for n in ("config.json", "tokenizer.json", "vocab.txt", "model.safetensors"))
    missing = {repo: status.missing for repo, status in hub.survey([BERT, TEXTS], False).items()}
    assert missing == {BERT: needed, TEXTS: len(DATA["README.md"]) + 6}
    hub.snapshot(BERT, False)
    status = hub.survey([BERT], True)[BERT]
    assert (status.present, status.missing, status.commit) == (needed, 0, COMMIT)
