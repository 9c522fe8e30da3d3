"""PARAM shared by several processes: the same numbers as by one, whatever happens on the way."""

import ctypes
import multiprocessing as mp
import os
import pickle
import signal
import subprocess
import threading
import time
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
import torch.distributed as dist
from marked import mark, running
from torch.utils.flop_counter import FlopCounterMode

from relrep_exp.alignment.param.learn import Param, ParamSettings
from relrep_exp.alignment.param.module import ParamModule
from relrep_exp.alignment.similarity import SIMILARITIES, Similarity, get_similarity
from relrep_exp.config import plugins
from relrep_exp.errors import UserError
from relrep_exp.training.batches import Training
from relrep_exp.training.share import Share

from .synthetic import K, M, learn, views, whitened

EPOCHS = 10
TWO = Training(devices=2, share_gflop=0.0)


def double(count=2, n=60):
    return {name: x.double() for name, x in views(count, n).items()}


def slow_product(x, anchors):
    time.sleep(0.01)
    return x @ anchors.T


SLOW = Similarity("slow", "whitened", slow_product)


def learn_slowly(training, epochs=EPOCHS):
    """Some 0.1 s an epoch, in float64."""
    strategy = Param(ParamSettings(epochs=epochs, batch=16), SLOW, training)
    return strategy(whitened(double()), torch.arange(K), M, 0)


def equal(one, two, tolerance):
    torch.testing.assert_close(two.weights, one.weights, rtol=0, atol=tolerance)
    assert list(two.curves) == list(one.curves)
    for name, curve in one.curves.items():
        assert two.curves[name] == pytest.approx(curve, rel=0, abs=30 * tolerance), name


# Gradients: what the processes find adds up to that of the batch.

OBJECTIVES = {
    "multi": (3, "wip", M, {}),
    "single": (1, "wip", M, {}),
    "cosine": (2, "cosine", M, {}),
    "euclidean": (3, "euclidean", M, {}),
    "wide logits": (2, "wip", M, {"nce_temperature": 0.01}),
    "chunks": (2, "cosine", M, {"coverage_chunk": 2}),
    "few anchors": (2, "cosine", 2, {}),
}
BATCHES = {"even": 12, "uneven": 11, "one sample": 1}


def module(case):
    encoders, similarity, m, settings = OBJECTIVES[case]
    strategy = Param(ParamSettings(**settings), get_similarity(similarity))
    return ParamModule(whitened(double(encoders)), torch.arange(K), m, 0, strategy)


def terms_and_gradient(case, rows, share):
    """The losses on the first samples, and the gradient of what is trained."""
    built = module(case)
    built.share = share
    terms = built.objective(torch.arange(rows))
    built.training_step(torch.arange(rows)[None], 0).backward()
    return torch.stack(list(terms.values())).detach(), built.logits.grad


def share_of_all(folder, rank, size):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store-{size}", rank=rank, world_size=size)
    cases = [(case, batch) for case in OBJECTIVES for batch in BATCHES]
    found = {each: terms_and_gradient(each[0], BATCHES[each[1]], Share(rank, size)) for each in cases}
    torch.save(found, folder / f"{size}-{rank}.pt")


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    """What 2 and 3 processes find, by their number."""
    folder, context = tmp_path_factory.mktemp("shares"), mp.get_context("forkserver")
    found = {}
    for size in (2, 3):
        processes = [context.Process(target=share_of_all, args=(folder, rank, size)) for rank in range(size)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * size
        found[size] = [torch.load(folder / f"{size}-{rank}.pt") for rank in range(size)]
    return found


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("case", OBJECTIVES)
def test_shares_add_up_to_the_loss_and_ddps_mean_is_its_gradient(shares, case, batch):
    terms, gradient = terms_and_gradient(case, BATCHES[batch], Share())
    assert float(gradient.abs().max()) > 1e-5
    for found in shares.values():
        parts = [each[case, batch] for each in found]
        torch.testing.assert_close(sum(part[0] for part in parts), terms, rtol=1e-12, atol=1e-14)
        mean = sum(part[1] for part in parts) / len(parts)  # what DDP leaves in every process
        torch.testing.assert_close(mean, gradient, rtol=1e-10, atol=1e-14)


def test_slices_are_those_that_are_put_together_again():
    x = torch.arange(7)
    assert [Share(rank, 3).of(x).tolist() for rank in range(3)] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [len(Share(rank, 3).of(x[:2])) for rank in range(3)] == [1, 1, 0]


# Whole fits.


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)], ids=["float64", "float32"]
)
@pytest.mark.parametrize(("encoders", "similarity"), [(3, "wip"), (2, "cosine"), (1, "wip")])
def test_two_processes_learn_the_p_and_the_curves_of_one(encoders, similarity, dtype, tolerance):
    spaces = {name: x.to(dtype) for name, x in views(encoders, n=65).items()}  # the last batch is one sample
    how = {"similarity": similarity, "epochs": EPOCHS, "lr": 0.05}
    one = learn(spaces, **how)
    assert float((one.weights - learn(spaces, **{**how, "epochs": 1}).weights).abs().max()) > 0.01
    two = learn(spaces, **how, training=TWO)
    assert two.weights.dtype == dtype
    equal(one, two, tolerance)


def test_the_caller_is_told_every_epoch_in_turn():
    told = []
    training = Training(on_epoch=lambda epoch, means: told.append((epoch, means)), devices=2, share_gflop=0.0)
    curves = learn(training=training).curves
    assert [epoch for epoch, _ in told] == list(range(6))
    assert {name: [means[name] for _, means in told] for name in curves} == dict(curves)


def test_a_fit_says_nothing_and_leaves_nothing(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    learn(epochs=1, training=TWO)
    assert "".join(capfd.readouterr()) == ""
    assert list(tmp_path.iterdir()) == []
    assert "MASTER_PORT" not in os.environ


def test_a_divergence_is_told_as_by_one():
    with pytest.raises(UserError) as one:
        learn(lr=1e38)
    with pytest.raises(UserError) as two:
        learn(lr=1e38, training=TWO)
    assert str(one.value) == str(two.value)


@pytest.fixture(scope="module")
def whole():
    """A fit that nothing happened to."""
    return learn_slowly(Training())


def stop_one_process(number):
    """Called from a thread of this process when an epoch is over."""

    def stop(epoch, means):
        if epoch == 2:
            os.kill(mp.active_children()[-1].pid, number)

    return stop


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_is_told_and_one_goes_on_where_two_stopped(tmp_path, whole, number):
    file = tmp_path / "fit.ckpt"
    with pytest.raises(UserError, match=r"PARAM: .*terminated") as caught:
        learn_slowly(Training(False, file, 0.0, stop_one_process(number), 2, 0.0))
    assert "goes on from the last checkpoint" in caught.value.problems[0].remedy
    assert mp.active_children() == [] or not any(child.is_alive() for child in mp.active_children())
    told = []
    resumed = learn_slowly(Training(False, file, 0.0, lambda epoch, means: told.append(epoch)))
    assert told[0] >= 2 and told[-1] == EPOCHS - 1
    equal(whole, resumed, 1e-13)
    assert not file.exists()


def test_two_go_on_where_one_stopped(tmp_path, whole):
    file = tmp_path / "fit.ckpt"

    def stop(epoch, means):
        if epoch == 4:
            raise KeyError

    with pytest.raises(KeyError):
        learn_slowly(Training(False, file, 0.0, stop))
    told = []
    resumed = learn_slowly(Training(False, file, 0.0, lambda epoch, means: told.append(epoch), 2, 0.0))
    assert told == list(range(4, EPOCHS))
    equal(whole, resumed, 1e-13)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_all_and_two_go_on(tmp_path, whole):
    file, before = tmp_path / "fit.ckpt", signal.getsignal(signal.SIGINT)

    def interrupt(epoch, means):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        learn_slowly(Training(False, file, 0.0, interrupt, 2, 0.0), epochs=400)
    assert signal.getsignal(signal.SIGINT) is before
    for child in mp.active_children():
        child.join(10)
    assert mp.active_children() == []
    assert [path.name for path in tmp_path.iterdir() if ".tmp-" not in path.name] == ["fit.ckpt"]
    equal(whole, learn_slowly(Training(False, file, 0.0, None, 2, 0.0)), 1e-13)


def learn_until_killed(file):
    mark(str(file))
    learn_slowly(Training(False, file, 0.0, None, 2, 0.0), epochs=10_000)


@pytest.mark.slow  # the process that is killed has a server of its own, which imports torch and Lightning
def test_none_goes_on_when_the_process_that_started_them_is_killed(tmp_path):
    file = tmp_path / "fit.ckpt"
    process = mp.get_context("forkserver").Process(target=learn_until_killed, args=(file,))
    process.start()
    wait_for(file.exists, 120)
    assert len(running(str(file))) >= 2
    process.kill()
    wait_for(lambda: not running(str(file)), 20)


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


# When, and what it costs.


def test_a_small_step_is_never_shared():
    threads = []
    training = Training(
        on_epoch=lambda epoch, means: threads.append((threading.current_thread(), mp.active_children())),
        devices=2,
    )
    learn(epochs=2, training=training)
    assert threads == [(threading.main_thread(), [])] * 2


def product_flop(total, a, b, **_):
    """Operations of total += A B, which torch does not count in place; its arguments are shapes."""
    return 2 * a[0] * a[1] * b[1]


@pytest.mark.parametrize("case", ["multi", "single", "cosine"])
def test_the_work_of_a_step_is_what_torch_counts(case):
    built = module(case)
    built.settings = ParamSettings(batch=32)
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: product_flop}) as counter:
        built.training_step(torch.arange(32)[None], 0).backward()
    assert built.step_work().gflop == pytest.approx(counter.get_total_flops() / 1e9, rel=1e-9)


def test_processes_divide_all_but_the_gram_matrices():
    work = module("multi").step_work()
    gram = 4 * M**2 * sum(work.dims) / 1e9
    assert work.gflop_of_each(2) == pytest.approx((work.gflop - gram) / 2 + gram)
    assert work.megabytes()["gradient of the logits"] == M * K * 8 / 1e6
    assert module("single").step_work().megabytes()["representations"] == 0


def test_embeddings_are_shared_not_copied_into_each_process():
    sizes = []
    for n in (100, 10_000):
        built = ParamModule(whitened(views(2, n)), torch.arange(K), M, 0, Param())
        sizes.append(len(ForkingPickler.dumps(built)))
    assert sizes[1] < sizes[0] + 100


PLUGIN = """
from relrep_exp import similarity

@similarity("tripled", prepare="unit")
def tripled(x, anchors):
    return 3.0 * x @ anchors.T + 1.0
"""


def test_a_similarity_of_a_plugin_reaches_the_processes(tmp_path):
    file = tmp_path / "tripling.py"
    file.write_text(PLUGIN)
    plugins.load([str(file)])
    try:
        one, two = (learn(double(), similarity="tripled", training=how) for how in (Training(), TWO))
        assert pickle.loads(pickle.dumps(get_similarity("tripled"))) == get_similarity("tripled")
    finally:
        del SIMILARITIES["tripled"]
    equal(one, two, 1e-13)


def learn_without_room(folder):
    """In a process of its own, whose /dev/shm is small."""
    ctypes.CDLL(None).unshare(0x00020000)  # CLONE_NEWNS
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/dev/shm"]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        return
    try:
        learn(views(2, 10_000), training=TWO)
    except UserError as error:
        (folder / "told").write_text(str(error))


@pytest.mark.slow
def test_too_little_shared_memory_is_the_users_to_mend(tmp_path):
    process = mp.get_context("forkserver").Process(target=learn_without_room, args=(tmp_path,))
    process.start()
    process.join(120)
    if not (tmp_path / "told").exists() and os.geteuid() != 0:
        pytest.skip("a file system cannot be mounted here")
    assert "unable to allocate shared memory" in (tmp_path / "told").read_text()
    assert "--shm-size" in (tmp_path / "told").read_text()
