"""Samples through encoders: each embedding is computed once, in shards that survive a kill, then read."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from relrep_exp.config.schema import Config, PrecomputedZoo
from relrep_exp.config.schema.types import IMAGE, POINT, resolve
from relrep_exp.config.views import views
from relrep_exp.data.image_samples import Picked
from relrep_exp.data.samples import ImageSamples, Samples
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders import precomputed
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.errors import Problem, UserError, user_error
from relrep_exp.store.files import digest
from relrep_exp.store.keys import content_key
from relrep_exp.store.once import MANIFEST
from relrep_exp.store.shards import Parts, Plan, ShardStore, Stored

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from relrep_exp.encoders.batching import AnySamples
    from relrep_exp.encoders.encoder import Encoder
    from relrep_exp.training.device import Runtime, Training

_LOG = logging.getLogger("relrep_exp")

COMPUTE = "relrep_exp.encoders.predict:compute"  # Lightning, which reading does without
_LEFT_OUT = 20  # rows that a record names one by one
_UNREAD = 5  # unreadable samples that a message names; it says how many more there are


@dataclass(frozen=True)
class Extraction:
    """Settings of the computation; nothing here changes them beyond rounding.

    Attributes:
        device: where the encoder runs.
        devices: processes that share the shards, each with a device of its own (on the CPU: its own share).
        batch: rows in a batch at most, or "auto": what is fastest and fits, found on some of the samples.
        batch_tokens: rows times the longest of them, at most, for encoders whose samples differ in size.
        shard: rows that are written at once: what a kill may lose, and what is held in memory.
        workers: processes that prepare samples; 0 prepares them in the encoder's own process.
        compile: run the encoder through torch.compile.
        channels_last: lay images and the encoder's weights out with the channels innermost.
        progress: show a bar.
        on_error: what to do about a sample that cannot be read: stop, or leave it out.
    """

    device: torch.device
    devices: int = 1
    batch: int | Literal["auto"] = 64
    batch_tokens: int = 16384
    shard: int = 4096
    workers: int = 0
    compile: bool = False
    channels_last: bool = False
    progress: bool = False
    on_error: Literal["raise", "skip"] = "raise"

    @classmethod
    def of(cls, config: Config, runtime: Runtime) -> Extraction:
        """Read how a run asks for it, on this machine."""
        asked = config.runtime
        return cls(
            device=runtime.device,
            devices=runtime.devices,
            batch=asked.batch,
            batch_tokens=asked.batch_tokens,
            shard=asked.shard,
            workers=asked.workers,
            compile=asked.compile,
            channels_last=asked.channels_last,
            progress=runtime.progress,
            on_error=getattr(config.data, "on_error", "raise"),
        )


def described(source: EncoderSource, samples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Describe the embeddings of one encoder: its own identity and that of the view that it reads."""
    return {"encoder": source.identity(), "samples": samples[source.view]}


def keys(encoders: Mapping[str, EncoderSource], samples: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name each encoder's embeddings of some samples, where none is left out; none is read.

    Args:
        encoders: the zoo.
        samples: view -> identity of its samples.
    """
    return {name: content_key(described(source, samples)) for name, source in encoders.items()}


def embed_all(
    config: Config,
    encoders: Mapping[str, EncoderSource],
    samples: Sequence[Dataset],
    runtime: Runtime,
    missing: Mapping[str, Problem],
) -> Embeddings:
    """Embed all samples of a run by all its encoders; where the user gave embeddings, read these.

    Args:
        config: the run.
        encoders: the zoo.
        samples: the task's own and, where these are not paired across encoders, those that are.
        runtime: the machine.
        missing: encoders that are left out, with the reasons.

    Raises:
        UserError: a sample cannot be read, an encoder cannot be loaded, the disk is full, or the like.
    """
    if isinstance(config.zoo, PrecomputedZoo):
        _LOG.info("embeddings: %s", config.zoo.path)
        return precomputed.load(config.zoo, config.seed)
    outputs, how = Path(config.paths.outputs), Extraction.of(config, runtime)
    found = embed(encoders, samples, views(config), outputs, how, runtime.training)
    if not missing:
        return found
    skipped = {"skipped_encoders": {name: problem.what for name, problem in missing.items()}}
    return replace(found, notes={**found.notes, **skipped})


def embed(
    encoders: Mapping[str, EncoderSource],
    samples: Sequence[Dataset],
    read: Sequence[str],
    outputs: Path,
    how: Extraction,
    training: Training,
) -> Embeddings:
    """Embed all samples by all encoders.

    Args:
        encoders: the zoo.
        samples: the task's own and, where these are not paired across encoders, those that are.
        read: the views that are read of them.
        outputs: where embeddings are kept.
        how: how they are computed where they are not there.
        training: how encoders are trained that have no checkpoint yet.

    Raises:
        UserError: a sample cannot be read, an encoder cannot be loaded, or the disk is full.
    """
    number, embedded = 0, []
    for place, data in enumerate(samples):
        loaded, identity = data.load(read), data.identity(read)
        found: dict[str, Stored] = {}
        keys = {}
        for name, source in encoders.items():
            number += 1
            parts = described(source, identity)
            keys[name] = content_key(parts)
            rows = loaded.views[source.view].samples
            kind = {IMAGE: "images", POINT: "points"}.get(source.view, "texts")
            what = f"{len(rows):,} {'paired ' if place else ''}{kind}"
            title = f"embeddings {number} of {len(samples) * len(encoders)}: {name}, {what}"
            load = partial(source.load, training)
            found[name] = extract(keys[name], name, rows, load, parts, outputs, how, title)
        embedded.append((loaded, *_corpora(encoders, loaded, found, keys)))
    own, tasks, task_keys, readable = embedded[0]
    lost = {name: (~kept).nonzero()[:, 0].tolist() for name, kept in readable.items()}
    left_out = {name: {"rows": len(rows), "first": rows[:_LEFT_OUT]} for name, rows in lost.items() if rows}
    said = {**own.notes, **({"left_out": left_out} if left_out else {})}
    paired, corpora, paired_keys, readable = embedded[-1]
    if paired is not own:
        said["paired"] = dict(paired.notes)
    images = None
    if (view := paired.views.get(IMAGE)) is not None:  # those behind the paired rows
        kept = next(iter(readable.values()))
        images = Picked(cast("ImageSamples", view.samples), kept.nonzero()[:, 0].tolist())
    return Embeddings(corpora, tasks, paired_keys, said, images, task_keys)


def _corpora(
    encoders: Mapping[str, EncoderSource],
    samples: Samples,
    found: Mapping[str, Stored],
    keys: Mapping[str, str],
) -> tuple[dict[str, Corpus], dict[str, str], dict[str, Tensor]]:
    """Each encoder's embeddings, their keys, and which rows of the samples they are of.

    Of parallel samples those rows are kept that every encoder could read. Other rows make other keys: which
    are left out may depend on what the other encoders can read.
    """
    readable = {name: extracted.ok for name, extracted in found.items()}
    if samples.parallel and readable:
        every_one = reduce(operator.and_, readable.values())
        readable = dict.fromkeys(readable, every_one)
    corpora, names = {}, dict(keys)
    for name, source in encoders.items():
        view, kept = samples.views[source.view], readable[name]
        labels = None if view.labels is None else view.labels[kept]
        x = found[name].x
        if not kept.all():  # picking rows copies, and there is seldom anything to leave out
            x, names[name] = x[kept], content_key({"embeddings": keys[name], "rows": digest(kept)})
        corpora[name] = Corpus(x, view.is_train[kept], labels)
    return corpora, names, readable


def extract(
    key: str,
    name: str,
    samples: AnySamples,
    load: Callable[[], Encoder],
    describe: Mapping[str, Any],
    outputs: Path,
    how: Extraction,
    title: str = "",
) -> Stored:
    """Embed samples by one encoder: read from the store, or else computed and put there.

    A process that is killed loses the shard that it was working on; the next one resumes behind the last
    finished shard. Of several processes that ask for the same key one computes, the others wait.

    Args:
        key: a `content_key` of all that determines them.
        name: the encoder's name, for bars and messages.
        samples: what `Encoder.prepare` takes a batch of; an item may raise `BadSampleError`.
        load: gives the encoder; called only if there is something to compute.
        describe: JSON, kept beside the embeddings.
        outputs: the folder of all results.
        how: devices, batches, ...
        title: what the log calls them.

    Raises:
        UserError: a sample cannot be read and `how.on_error` is "raise", a batch does not fit into memory,
            an embedding is not finite, the disk is full, or the like. Finished shards are kept.
        KeyboardInterrupt: on Ctrl-C; finished shards are kept.
    """
    if not len(samples):
        raise user_error(f"encoder {name!r}: there are no samples", "choose data that hold some")
    title = title or f"embeddings of {name}, {len(samples):,} samples"

    def make(parts: Parts, pending: list[int]) -> None:
        left = parts.left
        _LOG.info("%s: computed%s", title, f", {left:,} are left" if left < len(samples) else "")
        resolve(COMPUTE)(name, samples, load(), how, parts, pending)

    store = ShardStore(outputs / "embeddings")
    if (store.root / key / MANIFEST).is_file():
        _LOG.info("%s: read", title)
    stored = store.get_or_make(Plan(key, len(samples), how.shard), describe, make)
    if len(stored.x) != len(samples):
        raise ValueError(f"{key} holds {len(stored.x)} embeddings and there are {len(samples)} samples")
    if stored.unread and how.on_error == "raise":
        raise unreadable(name, stored.unread)
    if stored.unread:  # by this run or an earlier one
        _LOG.warning(
            "encoder %r: %d samples are left out: %s", name, len(stored.unread), _spelt(stored.unread)
        )
    return stored


def unreadable(name: str, unread: Mapping[int, str]) -> UserError:
    """Tell a user of samples, row -> reason, that cannot be read."""
    what = f"encoder {name!r}: {_spelt(unread)}"
    return UserError(Problem(what, "mend the data, or leave such samples out with data.on_error=skip"))


def _spelt(unread: Mapping[int, str]) -> str:
    """Rows and reasons, the first few of them."""
    rows = sorted(unread)
    named = "; ".join(f"row {row} cannot be read: {unread[row]}" for row in rows[:_UNREAD])
    return named + (f"; and {len(rows) - _UNREAD} more" if len(rows) > _UNREAD else "")
