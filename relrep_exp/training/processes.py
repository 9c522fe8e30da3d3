"""Start processes of our own that share an extraction, end them, tell what went wrong in them."""

from __future__ import annotations

import logging
import multiprocessing.connection
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from multiprocessing.queues import SimpleQueue
from typing import Any, Literal, TypeAlias

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from relrep_exp.errors import UserError, user_error

Failures: TypeAlias = "SimpleQueue[UserError]"

_ENDED = (None, 0, 1, -signal.SIGTERM)  # still there, well, raised an error, ended together with the others
_LOST = ("Connection closed by peer", "Connection reset by peer", "DistBackendError", "DistNetworkError")


def failure_queue() -> Failures:
    """Make a queue by which several processes tell the one that started them of a UserError."""
    return torch.multiprocessing.get_context("spawn").SimpleQueue()


@contextmanager
def told(failures: Failures | None) -> Iterator[None]:
    """Hand a UserError to the process that started this one, to which only its traceback would come."""
    try:
        yield
    except UserError as error:
        if failures is not None:
            failures.put(error)
        raise


class Spawned(DDPStrategy):
    """DDP by processes of our own, as Lightning's other way runs the command line again.

    On the CPU they are forked from a server that has imported what they need; CUDA allows no fork. One may
    take any time longer than another. The threads of this process are divided among them.

    Args:
        device: where they compute; gloo, by which they only wait for each other at the end, does on any.
    """

    def __init__(self, device: torch.device) -> None:
        start: Literal["spawn", "forkserver"] = "spawn" if device.type == "cuda" else "forkserver"
        torch.multiprocessing.get_context("forkserver").set_forkserver_preload([__name__])
        days = timedelta(days=365)
        super().__init__(start_method=start, process_group_backend="gloo", timeout=days)
        self._silence, self._threads = ExitStack(), torch.get_num_threads()

    def setup_environment(self) -> None:
        """Join the others; this process then ends with the run and is quiet until then."""
        end_with_parent()
        self._silence.enter_context(quiet())
        torch.set_num_threads(max(1, self._threads // self.num_processes))
        super().setup_environment()


def end_with_parent(worker: int = 0) -> None:
    """From now on, end this process when the one that started it ends, be it killed.

    A server that forks processes lives as long as they do, so that they are not told otherwise.

    Args:
        worker: its number, which a DataLoader gives to `worker_init_fn`.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a process that another one has started"

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def explained(trainer: pl.Trainer, failures: Failures | None, what: str, remedy: str) -> Iterator[None]:
    """Say what went wrong in another process as if it had been in this one; leave none behind.

    Args:
        trainer: what is run inside the block.
        failures: what the processes were told to report to; None if this one does all itself.
        what: what is being computed, for messages.
        remedy: what to do where a process was killed.

    Raises:
        UserError: a process reported one or was killed, or there is no room for what they share.
    """
    try:
        yield
    except ProcessRaisedException as error:
        if failures is not None and not failures.empty():
            raise failures.get() from None
        # One that raised an error may only have been waiting for another that was killed.
        codes = [process.exitcode for process in getattr(trainer.strategy.launcher, "procs", [])]
        killed = [(number, -code) for number, code in enumerate(codes) if code not in _ENDED]
        if not killed and not any(sign in str(error) for sign in _LOST):
            raise
        ended = [f"process {n} terminated with signal {signal.Signals(code).name}" for n, code in killed]
        raise user_error(f"{what}: {[*ended, 'a process was terminated'][0]}", remedy) from error
    except ProcessExitedException as error:
        raise user_error(f"{what}: {error}", remedy) from error
    except RuntimeError as error:
        if "shared memory" not in str(error):
            raise
        room = "make /dev/shm larger (of a container: --shm-size), or use runtime.devices=1"
        raise user_error(f"{what}: {error}", room) from error
    finally:
        if trainer.strategy.launcher is not None:  # nothing goes on after Ctrl-C
            trainer.strategy.launcher.kill(signal.SIGTERM)


@contextmanager
def environment(**changes: str | None) -> Iterator[None]:
    """Change this process's environment for a block: some variables set, or left out where the value is None.

    MASTER_PORT is always left out: Lightning leaves the port of its processes there, on which those of
    another run would then meet.
    """
    before = {name: os.environ.pop(name, None) for name in ("MASTER_PORT", *changes)}
    os.environ.update({name: value for name, value in changes.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def keyboard_interrupt() -> Iterator[None]:
    """Turn Lightning's exit on Ctrl-C back into KeyboardInterrupt, and take Ctrl-C into account again."""
    main = threading.current_thread() is threading.main_thread()
    before: Any = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the advice of Lightning and its processes out of the output; their errors still come through."""
    names = (
        "pytorch_lightning",
        "lightning_fabric",
        "pytorch_lightning.utilities.rank_zero",
        "torch.multiprocessing.spawn",
    )
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    try:
        for logger in levels:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric).*")
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
