"""Batches, and fits that are killed, resumed and interrupted."""

import signal
import threading
from pathlib import Path

import pytest
import torch
from alignment.param.synthetic import N, learn

from relrep_exp.alignment.param.learn import ParamModule
from relrep_exp.errors import UserError
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, EpochLosses

CPU = torch.device("cpu")
EPOCHS = 5


class KilledError(Exception):
    """Stands for the end of the process."""


def killed_after(epoch: int):
    def on_epoch(number: int, means: dict[str, float]) -> None:
        if number == epoch:
            raise KilledError

    return on_epoch


def orders(batches: EpochBatches, epoch: int) -> torch.Tensor:
    batches.set_epoch(epoch)
    return torch.cat(list(batches), dim=1)


@pytest.mark.parametrize("n, batch, steps", [(10, 4, 3), (8, 4, 2), (3, 16, 1), (5, 1, 5)])
def test_every_row_comes_once_in_an_epoch_for_every_seed(n, batch, steps):
    batches = EpochBatches(n, batch, [0, 7], CPU)
    parts = list(batches)
    assert len(parts) == len(batches) == steps
    assert all(part.shape[0] == 2 and part.shape[1] <= batch for part in parts)
    for row in torch.cat(parts, dim=1):
        assert sorted(row.tolist()) == list(range(n))


def test_the_order_depends_on_seed_and_epoch_alone():
    torch.manual_seed(0)
    first = orders(EpochBatches(50, 8, [3, 4], CPU), 5)
    torch.manual_seed(1)
    used = EpochBatches(50, 16, [4, 3], CPU)
    orders(used, 0), orders(used, 9)
    assert torch.equal(orders(used, 5).flip(0), first)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(orders(used, 6).flip(0), first)


def test_a_fit_sees_the_order_of_each_epoch_in_turn(monkeypatch):
    seen = []
    original = ParamModule.training_step

    def spy(self, rows, number):
        seen.append(rows)
        return original(self, rows, number)

    monkeypatch.setattr(ParamModule, "training_step", spy)
    learn(epochs=3, seed=5)
    batches = EpochBatches(N, 16, [5], CPU)
    expected = torch.cat([orders(batches, epoch) for epoch in range(3)], dim=1)
    assert torch.equal(torch.cat(seen, dim=1), expected)


def test_epoch_losses_are_means_over_steps():
    losses = EpochLosses(["p", "q"])
    for p, q in ((1.0, 4.0), (3.0, 0.0)):
        losses.add([torch.tensor(p), torch.tensor(q)])
    assert losses.close_epoch() == {"p": 2.0, "q": 2.0}
    losses.add([torch.tensor(5.0), torch.tensor(6.0)])
    losses.close_epoch()
    assert losses.curves == {"p": [2.0, 5.0], "q": [2.0, 6.0]}


@pytest.fixture(scope="module")
def uninterrupted():
    return learn(epochs=EPOCHS)


@pytest.mark.parametrize("epoch", [0, 3])
def test_a_killed_fit_resumes_to_the_same_p_and_whole_curves(tmp_path, uninterrupted, epoch):
    file = tmp_path / "deep" / "fit.ckpt"
    with pytest.raises(KilledError):
        learn(epochs=EPOCHS, training=Training(False, file, 0.0, killed_after(epoch)))
    assert file.exists() == (epoch > 0)
    told = []
    training = Training(False, file, 0.0, lambda number, means: told.append(number))
    resumed = learn(epochs=EPOCHS, training=training)
    assert told == list(range(epoch, EPOCHS))
    torch.testing.assert_close(resumed.weights, uninterrupted.weights, rtol=0, atol=1e-6)
    assert dict(resumed.curves) == dict(uninterrupted.curves)
    assert list(file.parent.iterdir()) == []


def test_a_fit_killed_twice_resumes_twice(tmp_path, uninterrupted):
    file = tmp_path / "fit.ckpt"
    for epoch in (2, 4):
        with pytest.raises(KilledError):
            learn(epochs=EPOCHS, training=Training(False, file, 0.0, killed_after(epoch)))
    resumed = learn(epochs=EPOCHS, training=Training(False, file, 0.0))
    torch.testing.assert_close(resumed.weights, uninterrupted.weights, rtol=0, atol=1e-6)
    assert dict(resumed.curves) == dict(uninterrupted.curves)


def test_saving_checkpoints_does_not_change_p_and_leaves_no_file(tmp_path, monkeypatch, uninterrupted):
    monkeypatch.chdir(tmp_path)
    half = tmp_path / "ckpt" / "fit.ckpt.tmp-1"
    half.parent.mkdir()
    half.write_bytes(b"half")  # of a killed process, which is not taken for a checkpoint
    kept = learn(epochs=EPOCHS, training=Training(False, Path("ckpt/fit.ckpt"), 0.0))
    assert torch.equal(kept.weights, uninterrupted.weights)
    assert [path.name for path in tmp_path.rglob("*")] == ["ckpt", half.name]


def test_a_checkpoint_is_written_only_when_enough_time_has_passed(tmp_path):
    file = tmp_path / "fit.ckpt"
    with pytest.raises(KilledError):
        learn(epochs=EPOCHS, training=Training(False, file, 3600.0, killed_after(3)))
    assert not file.exists()


def test_a_diverged_epoch_is_never_kept_as_a_checkpoint(tmp_path):
    file = tmp_path / "fit.ckpt"
    for _ in range(2):
        with pytest.raises(UserError, match="diverged in epoch 0"):
            learn(epochs=1, lr=1e38, training=Training(False, file, 0.0))
        assert not file.exists()


def interrupt(number: int, means: dict[str, float]) -> None:
    raise KeyboardInterrupt


def send_sigint(number: int, means: dict[str, float]) -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("how", [interrupt, send_sigint])
def test_ctrl_c_comes_out_as_keyboard_interrupt_and_is_heard_again(how):
    def handler(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            learn(training=Training(on_epoch=how))
        assert signal.getsignal(signal.SIGINT) is handler
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_fit_that_ends_well_leaves_the_sigint_handler_as_it_was():
    before = signal.getsignal(signal.SIGINT)
    learn(epochs=1)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_exit_that_is_not_ctrl_c_stays_an_exit():
    def leave(number, means):
        raise SystemExit(3)

    with pytest.raises(SystemExit) as caught:
        learn(training=Training(on_epoch=leave))
    assert caught.value.code == 3


def test_a_fit_runs_outside_the_main_thread(uninterrupted):
    made = []
    thread = threading.Thread(target=lambda: made.append(learn(epochs=EPOCHS)))
    thread.start()
    thread.join(60)
    assert torch.equal(made[0].weights, uninterrupted.weights)


def test_a_fit_says_nothing(capfd):
    learn(epochs=1)
    out, err = capfd.readouterr()
    assert out + err == ""
