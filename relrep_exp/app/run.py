"""The whole way from configuration to record, on one page.

    request -> record in the store? -> yes: read it
                                    -> no: samples -> embeddings -> aligners -> result -> record

A run's key hashes what determines its numbers; the store makes each record once, however many processes ask.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relrep_exp.app import log, provenance
from relrep_exp.app.request import Request
from relrep_exp.app.track import Tracker, open_tracker
from relrep_exp.config.schema import PrecomputedZoo
from relrep_exp.encoders import precomputed
from relrep_exp.store.records import Record
from relrep_exp.tasks.identity import method_name

if TYPE_CHECKING:
    from relrep_exp.data.samples import Samples
    from relrep_exp.encoders.embeddings import Embeddings
    from relrep_exp.training.device import Runtime

_LOG = logging.getLogger("relrep_exp")


@dataclass(frozen=True)
class Outcome:
    """What a run left.

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


def run(request: Request, command: str, folder: Path | None = None) -> Outcome:
    """Return the record of a run, computing it if the store lacks it.

    Args:
        request: the run, checked.
        command: what makes this record again, for its provenance.
        folder: where its log and a logger's files go; None where the run only reads.

    Raises:
        UserError: the request cannot be served; nothing is half-written.
    """
    start, key, records = time.perf_counter(), request.key, request.records
    if request.missing:
        names = ", ".join(request.missing)
        _LOG.warning("zoo.skip_missing=true leaves out %s; the record says why", names)
    with log.kept_in(folder):
        config = request.config
        if folder is not None:
            what = config.task.name, method_name(config), config.seed, key
            _LOG.info("request: %s by %s, seed %d, key %s", *what)
        tracker = open_tracker(config, key, folder or Path())
        try:
            record, fresh = records.get_or_run(
                key, lambda: compute(request, command, tracker), config.overwrite
            )
            if fresh:
                tracker.finish(record)  # after the record is safe: a broken logger loses nothing
        finally:
            tracker.close()
    return Outcome(record, records.path(key), fresh, time.perf_counter() - start)


def compute(request: Request, command: str, tracker: Tracker) -> Record:
    """Compute a record, step by step; each step is one call, and says in the log what it is about to do."""
    # torch and Lightning take seconds to import, which a run that reads its record never does
    from relrep_exp.tasks import checks
    from relrep_exp.tasks.held_out import fit_aligners
    from relrep_exp.tasks.measure import measure
    from relrep_exp.tasks.work import Work
    from relrep_exp.training.device import Runtime

    config, method = request.config, method_name(request.config)
    tracker.start()
    runtime = Runtime.of(config.runtime)
    begun = {**provenance.begin(runtime, command), "revisions": provenance.revisions(request)}

    start = time.perf_counter()
    _LOG.info(
        "samples: %s",
        config.data.name
        if request.paired is request.own
        else f"{config.data.name}, paired: {config.parallel.name}",
    )
    samples = load_samples(request)
    embeddings = embed_all(request, samples, runtime).to(runtime.device)
    seconds = time.perf_counter() - start
    checks.require(config, embeddings)

    training = runtime.training()
    work = Work.of(
        config, embeddings, training, tracker.curve, samples=request.own, encoders=request.encoders
    )
    aligners = fit_aligners(work)
    result = measure(work, aligners)

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


def load_samples(request: Request) -> tuple[Samples, Samples] | None:
    """Read the task's own samples, and the paired ones: the same object where the task's own are paired.

    None where the embeddings are there already.

    Raises:
        UserError: the files are not what the configuration says; every problem.
    """
    if isinstance(request.config.zoo, PrecomputedZoo):
        return None
    own = request.own.load(request.views)
    return own, own if request.paired is request.own else request.paired.load(request.views)


def embed_all(request: Request, samples: tuple[Samples, Samples] | None, runtime: Runtime) -> Embeddings:
    """Embed the samples by all encoders; where the user gave embeddings, read these.

    Raises:
        UserError: a sample cannot be read, an encoder cannot be loaded, the disk is full, or the like.
    """
    from relrep_exp.encoders.embed import Extraction, Group, embed

    config, views = request.config, request.views
    if isinstance(config.zoo, PrecomputedZoo):
        _LOG.info("embeddings: %s", config.zoo.path)
        return precomputed.load(config.zoo)
    assert samples is not None, "they are read unless there are embeddings"
    own = Group(samples[0], request.own.identity(views))
    paired = own if request.paired is request.own else Group(samples[1], request.paired.identity(views))
    skipped = {name: problem.what for name, problem in request.missing.items()}
    notes = {"skipped_encoders": skipped} if skipped else {}
    outputs, how = Path(config.paths.outputs), Extraction.of(config, runtime)
    return embed(request.encoders, own, paired, outputs, how, notes, runtime.training())
