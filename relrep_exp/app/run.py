"""The whole way from configuration to record, on one page.

    configuration -> key -> record in the store? -> yes: read it
                                                  -> no: embeddings -> task -> rows -> record

A run's key hashes what determines its numbers; the store makes each record once, however many processes ask.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from relrep_exp.app import checks, needs, provenance
from relrep_exp.app.track import Tracker, open_tracker
from relrep_exp.config import plugins
from relrep_exp.config.schema import Config
from relrep_exp.data import hub
from relrep_exp.encoders.present import missing_encoders
from relrep_exp.store.records import Record, RecordStore
from relrep_exp.tasks.identity import method_name, record_identity, record_key

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


def run(config: Config, folder: Path, command: str) -> Outcome:
    """Return the record of a run, computing it if the store lacks it.

    Args:
        config: the run.
        folder: where a logger may put files of its own.
        command: what makes this record again, for its provenance.

    Raises:
        UserError: the request cannot be served; nothing is half-written.
    """
    start = time.perf_counter()
    plugins.load(config.plugins)
    checks.require(config)
    if dropped := missing_encoders(config):
        _LOG.warning("zoo.skip_missing=true leaves out %s; the record says why", ", ".join(dropped))
    key = record_key(config)
    records = RecordStore(Path(config.paths.outputs) / "records")
    tracker = open_tracker(config, key, folder)
    try:
        record, fresh = records.get_or_run(
            key, lambda: compute(config, key, command, tracker), config.overwrite
        )
        if fresh:
            tracker.finish(record)  # after the record is safe: a broken logger loses nothing
    finally:
        tracker.close()
    return Outcome(record, records.path(key), fresh, time.perf_counter() - start)


def revisions(config: Config) -> dict[str, str]:
    """The commit of everything that the run has from the hub; one that has moved since is told.

    Raises:
        UserError: the hub does not say.
    """
    found = {}
    dropped = missing_encoders(config)
    for repo in needs.repos(config):
        if repo.key.removeprefix("zoo.encoders.") not in dropped:
            found[repo.id] = hub.commit(repo, config.runtime.offline)
            if moved := hub.note_commit(Path(config.paths.outputs), repo, found[repo.id]):
                _LOG.warning("%s", moved)
    return found


def compute(config: Config, key: str, command: str, tracker: Tracker) -> Record:
    """Embeddings, then the task, then the record."""
    from relrep_exp.encoders import zoo
    from relrep_exp.tasks import checks as checks_of_embeddings
    from relrep_exp.tasks.held_out import fit_aligners
    from relrep_exp.tasks.measure import measure
    from relrep_exp.tasks.work import Work
    from relrep_exp.training.device import Runtime  # torch and Lightning, which a cached run never imports

    tracker.start()
    runtime = Runtime.of(config.runtime)
    before = {**provenance.begin(runtime, command), "revisions": revisions(config)}
    start = time.perf_counter()
    embeddings = zoo.load(config, runtime).to(runtime.device)
    seconds = time.perf_counter() - start
    checks_of_embeddings.require(config, embeddings)
    work = Work.of(config, embeddings, runtime.training(), tracker.curve)
    result = measure(work, fit_aligners(work))
    return Record(
        key=key,
        task=config.task.name,
        method=method_name(config),
        config=record_identity(config),
        rows=result.rows,
        curves=result.curves,
        views=result.views,
        diagnostics=result.diagnostics,
        timings={"embed": seconds, **result.timings},
        provenance=provenance.end(before),
    )
