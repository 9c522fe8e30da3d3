"""The whole way from configuration to record, on one page.

    request -> record in the store? -> yes: read it
                                    -> no: samples -> embeddings -> aligners -> result -> record

A run's key hashes what determines its numbers; the store makes each record once, however many processes ask.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relrep_exp.app import log, provenance
from relrep_exp.app.request import Request
from relrep_exp.app.track import Tracker
from relrep_exp.store.records import Record
from relrep_exp.tasks.identity import method_name

_LOG = logging.getLogger("relrep_exp")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Attributes:
        record: the numbers and where they come from.
        path: the record's file.
        fresh: whether it was computed now.
        seconds: how long it took.
    """

    record: Record
    path: Path
    fresh: bool
    seconds: float


def run(request: Request, command: str, folder: Path | None = None, told: str | None = None) -> Outcome:
    """Return the record of a run, computing it if the store lacks it.

    Args:
        request: the run, checked.
        command: what makes this record again, for its provenance.
        folder: where its log and a logger's files go; None where the run only reads.
        told: the level from which on the terminal shows the log; None leaves the terminal as it is.

    Raises:
        UserError: the request cannot be served; nothing is half-written.
    """
    start, key, records = time.perf_counter(), request.key, request.records
    if request.missing:
        names = ", ".join(request.missing)
        _LOG.warning("zoo.skip_missing=true leaves out %s; the record says why", names)
    config, tracker = request.config, Tracker(request.config, key, folder or Path())
    with log.kept_in(folder, told):
        if folder is not None:
            what = config.task.name, method_name(config), config.seed, key
            _LOG.info("request: %s by %s, seed %d, key %s", *what)
        try:
            work = partial(compute, request, command, tracker)
            record, fresh = records.get_or_run(key, work, config.overwrite)
            if fresh:
                tracker.finish(record)  # after the record is safe: a broken logger loses nothing
        finally:
            tracker.close()
    return Outcome(record, records.path(key), fresh, time.perf_counter() - start)


def compute(request: Request, command: str, tracker: Tracker) -> Record:
    """Compute a record, step by step; each step is one call, and says in the log what it is about to do."""
    # torch and Lightning take seconds to import, which a run that reads its record never does
    from relrep_exp.encoders.embed import embed_all
    from relrep_exp.tasks import checks
    from relrep_exp.tasks.held_out import fit_aligners
    from relrep_exp.tasks.measure import measure
    from relrep_exp.tasks.work import Work
    from relrep_exp.training.device import Runtime
    from relrep_exp.training.numbers import as_shipped

    config, method = request.config, method_name(request.config)
    tracker.start()
    runtime = Runtime.of(config.runtime)
    begun = {**provenance.begin(runtime, command), "revisions": provenance.revisions(request)}

    start = time.perf_counter()
    names = ", paired: ".join(str(data.config.name) for data in request.samples) or "none"
    _LOG.info("samples: %s", names)
    with as_shipped():  # who calls this as a library may have set others
        for data in request.samples:
            data.load(request.views)
        embeddings = embed_all(config, request.encoders, request.samples, runtime, request.missing)
        embeddings, seconds = embeddings.to(runtime.device), time.perf_counter() - start
        checks.require(config, embeddings)

        curve, own, encoders = tracker.curve, request.own, request.encoders
        work = Work(config, embeddings, runtime.training, curve, samples=own, encoders=encoders)
        aligners = fit_aligners(work)
        result = measure(work, aligners)
    request.require_unchanged()

    _LOG.info("record: %d numbers in %.1f s", len(result.rows), time.perf_counter() - start)
    return Record(
        key=request.key,
        task=config.task.name,
        method=method,
        config=request.identity,
        rows=result.rows,
        curves=result.curves,
        views=result.views,
        diagnostics=result.diagnostics,
        timings={"embed": seconds, **result.timings},
        provenance={**begun, "finished": provenance.now()},
    )
