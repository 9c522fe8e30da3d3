"""A run on embeddings that a test makes: one tiny configuration, of which it replaces what it is about."""

from dataclasses import replace

import torch

from relrep_exp.config.schema import (
    Config,
    LinearConfig,
    LoggerConfig,
    OwnParallel,
    PathsConfig,
    PickedAnchors,
    PrecomputedData,
    PrecomputedZoo,
    RelativeConfig,
    RuntimeConfig,
    SimConfig,
    StitchingTask,
)
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.tasks.decoders.classifiers import fit_decoders
from relrep_exp.tasks.held_out import fit_aligners
from relrep_exp.tasks.measure import measure
from relrep_exp.tasks.work import StatisticsCache, Work

TINY = Config(
    task=StitchingTask(name="tiny", kind="stitching", neighbours=5, view_samples=12),
    data=PrecomputedData(kind="precomputed", name="precomputed"),
    parallel=OwnParallel(kind="own", name="own"),
    zoo=PrecomputedZoo(kind="precomputed", path="none.npz"),
    aligner=RelativeConfig(name="relative", support=40),
    anchors=PickedAnchors(name="random", m=5),
    sim=SimConfig(name="wip"),
    decoder=LinearConfig(name="linear"),
    runtime=RuntimeConfig(),
    logger=LoggerConfig(name="none"),
    paths=PathsConfig(outputs="none"),
)


def work_of(embeddings, outputs=None, **groups):
    """The run, with these groups of the configuration; nothing is kept without `outputs`."""
    return Work(replace(TINY, **groups), embeddings, statistics=StatisticsCache(outputs))


def measured(embeddings, make=None, **groups):
    """What the run's task measures, by the configured aligner or another."""
    work = work_of(embeddings, **groups)
    return measure(work, fit_aligners(work, make))


def decoders_of(decoder, jobs, classes=3, seed=0):
    """Decoders of these jobs, fitted as `decoder` configures them."""
    corpus = Corpus(torch.zeros(2, 1), torch.tensor([True, False]))
    work = work_of(Embeddings({"a": corpus}, {"a": corpus}, {"a": "key"}), decoder=decoder, seed=seed)
    return fit_decoders(work, jobs, classes)
