"""Measure: tasks, aligners and decoders by their names in the configuration.

A new one is a function and the class of its settings, registered here or by a file of the user's:

    @aligner("toy", ToyConfig)
    def toy(work): return lambda: ToyAligner(work.config.aligner.strength)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from relrep_exp.config import schema
from relrep_exp.config.schema.types import Registry

if TYPE_CHECKING:
    from relrep_exp.alignment.aligner import Aligner
    from relrep_exp.tasks.work import Result, Work


# Kind -> (work, aligners by test encoder) -> what was measured
TASKS = Registry(
    schema.TASKS,
    {
        "stitching": "relrep_exp.tasks.stitching:stitching",
        "retrieval": "relrep_exp.tasks.held_out:retrieval",
        "reconstruction": "relrep_exp.tasks.reconstruction:reconstruction",
        "geometry": "relrep_exp.tasks.geometry:geometry",
        "invertibility": "relrep_exp.tasks.inverse_projection:invertibility",
        "rescaling": "relrep_exp.tasks.inverse_projection:rescaling",
    },
)
# Name -> work -> () -> a fresh aligner
ALIGNERS = Registry(
    schema.ALIGNERS,
    {
        "absolute": "relrep_exp.tasks.aligners:absolute",
        "relative": "relrep_exp.tasks.aligners:relative",
        **dict.fromkeys(
            ("ortho", "linear", "l_ortho", "affine", "parseval"), "relrep_exp.tasks.aligners:translated"
        ),
        "inverse_relative": "relrep_exp.tasks.aligners:inverse",
        **dict.fromkeys(("consensus", "gpa", "ridge_cca"), "relrep_exp.tasks.aligners:shared"),
    },
)
# Name -> work -> what fits decoders: of classes, FitDecoders, or of images, FitImageDecoder
DECODERS = Registry(
    schema.DECODERS,
    {
        "mlp": "relrep_exp.tasks.decoders.head_training:heads",
        "mlp_paper": "relrep_exp.tasks.decoders.head_training:heads",
        "linear": "relrep_exp.tasks.decoders.classifiers:linear",
        "svm": "relrep_exp.tasks.decoders.classifiers:svm",
        "conv": "relrep_exp.tasks.decoders.image_decoders:image_decoders",
    },
)
task, aligner, decoder = TASKS.register, ALIGNERS.register, DECODERS.register


def measure(work: Work, aligners: Mapping[str, Aligner]) -> Result:
    """Measure what the task's kind measures.

    Args:
        work: the run.
        aligners: for each test encoder one that was fitted on all others; none where the task is not
            `aligned`.
    """
    result: Result = TASKS[work.config.task.kind](work, aligners)
    result.timings = work.timings
    if work.embeddings.notes:
        result.diagnostics["samples"] = dict(work.embeddings.notes)
    return result
