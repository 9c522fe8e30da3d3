"""The step as a GPU replays it: the numbers of the ordinary one, and nothing that waits for the device."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from relrep_exp.alignment.param import losses_of_all
from relrep_exp.alignment.param.captured import WARM_UP, CapturedStep
from relrep_exp.alignment.param.learn import Param, ParamSettings
from relrep_exp.alignment.param.module import ParamModule
from relrep_exp.training.batches import EpochBatches, Training
from relrep_exp.training.fit import fit

from .synthetic import K, M, N, views, whitened

EPOCHS = 6
SETTINGS = ParamSettings(epochs=EPOCHS, batch=16, lr=0.1)


def built() -> ParamModule:
    return ParamModule(whitened(views(3)), torch.arange(K), M, 0, Param(SETTINGS))


def trained(module: ParamModule, training: Training, device: str = "cpu") -> ParamModule:
    fit(module, EpochBatches(N, SETTINGS.batch, [0], torch.device(device)), EPOCHS, training)
    return module


def recorder(recorded: Counter[int]):
    """A recording that is played by doing the step again where the batch was put."""

    def record(step, rows):
        recorded[len(rows)] += 1
        return lambda: step(rows)

    return record


def captured(recorded=None) -> ParamModule:
    module = built()
    module.capture(recorder(Counter() if recorded is None else recorded))
    return module


def equal(one: ParamModule, two: ParamModule) -> None:
    assert torch.equal(one.logits, two.logits)
    assert one.losses.curves == two.losses.curves


def test_a_captured_fit_is_the_ordinary_one_and_records_each_size_once():
    recorded = Counter[int]()
    equal(trained(built(), Training()), trained(captured(recorded), Training()))
    assert recorded == {16: 1, N % 16: 1}


@pytest.mark.parametrize("first", [built, captured], ids=["ordinary", "captured"])
@pytest.mark.parametrize("second", [built, captured], ids=["ordinary", "captured"])
def test_one_way_goes_on_where_the_other_stopped(tmp_path, first, second):
    file = tmp_path / "fit.ckpt"

    def stop(epoch, means):
        if epoch == 3:
            raise KeyError

    interrupted = first()
    interrupted.on_epoch = stop
    keeping = Training(checkpoint=file, checkpoint_seconds=0.0)
    with pytest.raises(KeyError):
        trained(interrupted, keeping)
    assert file.exists()
    resumed, epochs = second(), []
    resumed.on_epoch = lambda epoch, means: epochs.append(epoch)
    trained(resumed, keeping)
    assert epochs == [3, 4, 5]
    equal(trained(built(), Training()), resumed)


def test_a_replay_reads_the_batch_that_is_given_with_it():
    seen = []
    step = CapturedStep(lambda rows: seen.append(rows.tolist()), recorder(Counter()))
    batches = [torch.tensor([n, n + 1]) for n in range(WARM_UP + 3)]
    for rows in batches:
        step(rows)
    assert seen == [rows.tolist() for rows in batches]
    assert batches[WARM_UP].tolist() == [WARM_UP, WARM_UP + 1]  # is not the place that is written to


def test_whether_the_optimiser_is_captured_is_not_for_the_checkpoint_to_say(tmp_path):
    """One that a GPU wrote would make the ordinary one of a CPU fail."""
    file = tmp_path / "fit.ckpt"

    def change_and_stop(epoch, means):
        if epoch == 2:
            saved = torch.load(file, weights_only=True)
            saved["optimizer_states"][0]["param_groups"][0]["capturable"] = True
            torch.save(saved, file)
            raise KeyError

    interrupted, keeping = built(), Training(checkpoint=file, checkpoint_seconds=0.0)
    interrupted.on_epoch = change_and_stop
    with pytest.raises(KeyError):
        trained(interrupted, keeping)
    equal(trained(built(), Training()), trained(built(), keeping))


def without_data() -> ParamModule:
    """A module whose tensors have no numbers: whoever asks for one, as for a GPU's, gets an error."""
    module, meta = built(), torch.device("meta")
    module.samples = module.samples.to(meta)
    module.logits = torch.nn.Parameter(module.logits.detach().to(meta))
    return module


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_step_never_asks_the_device_for_a_number(precision):
    module = without_data()
    module.products = replace(module.products, precision=precision)
    loss = module.loss(torch.zeros(16, dtype=torch.int64, device="meta"))
    (gradient,) = torch.autograd.grad(loss, [module.logits])
    assert (gradient.device.type, gradient.shape) == ("meta", (M, K))


def test_asking_for_a_number_would_be_noticed(monkeypatch):
    monkeypatch.setattr(losses_of_all, "length", lambda squares: squares.sum().item() * squares.mean(1))
    with pytest.raises(RuntimeError, match="meta"):
        without_data().loss(torch.zeros(16, dtype=torch.int64, device="meta"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_a_gpu_replays_what_the_cpu_computes():
    module = trained(built(), Training(), device="cuda")
    assert module.logits.is_cuda
    torch.testing.assert_close(module.logits.cpu(), trained(built(), Training()).logits, rtol=1e-3, atol=1e-4)
