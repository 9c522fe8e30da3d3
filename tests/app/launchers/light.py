"""run.py whose runs cost nothing and end as their seed says: importing torch takes ten seconds a process.

What launches them, what they write and how they lock is the real thing.
"""

import os
import signal
import sys
import time
from pathlib import Path

from relrep_exp.app import cli
from relrep_exp.app.request import Request
from relrep_exp.app.run import Outcome
from relrep_exp.config.load import load
from relrep_exp.errors import user_error
from relrep_exp.store.files import write_atomic
from relrep_exp.store.records import Record, RecordStore, Row
from relrep_exp.tasks.identity import method_name

DIES, WAITS_TO_BE_KILLED, USERS_ERROR, DEFECT, EXITS = 11, 12, 13, 14, 15


def job(composed):
    config = load(composed)
    key, records = Request(config).key, RecordStore(Path(config.paths.outputs) / "records")

    def compute():
        with (Path(config.paths.outputs) / "made.txt").open("a") as made:
            made.write(f"{config.seed} {os.environ.get('OMP_NUM_THREADS')} {Path.cwd()}\n")
        meet(config.seed, Path(config.paths.outputs))
        row = Row("a", "b", method_name(config), "f1_weighted", config.seed / 100)
        task, method = config.task.name, method_name(config)
        return Record(key=key, task=task, method=method, config=Request(config).identity, rows=[row])

    record, fresh = records.get_or_run(key, compute)
    return Outcome(record, records.path(key), fresh, 0.0)


def meet(fate, outputs):
    if fate == DIES:
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == WAITS_TO_BE_KILLED and not (outputs / "again").exists():
        write_atomic(outputs / "again", str(os.getpid()).encode())
        time.sleep(100)
    if fate == USERS_ERROR:
        raise user_error("too large", "make it smaller")
    if fate == DEFECT:
        raise RuntimeError("a defect of ours")
    if fate == EXITS:
        sys.exit(3)


if __name__ == "__main__":
    import light

    cli.job = light.job
    sys.exit(cli.main())
