"""From configuration to a finished task: embeddings, aligners, decoders."""

from __future__ import annotations

from collections.abc import Sequence

from relrep_exp.encoders import zoo
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.errors import Problem, UserError
from relrep_exp.methods import OnCurve, aligner_factory
from relrep_exp.runtime import Runtime
from relrep_exp.schema import (
    Config,
    ConsensusConfig,
    DecoderConfig,
    HeadConfig,
    PairwiseConfig,
    PickedAnchors,
    RelativeConfig,
)
from relrep_exp.tasks.decoders import decoder_fitter
from relrep_exp.tasks.geometry import geometry
from relrep_exp.tasks.image_decoders import image_decoder_fitter
from relrep_exp.tasks.images import images_of, own_decoders
from relrep_exp.tasks.reconstruction import Reconstruction
from relrep_exp.tasks.result import Result
from relrep_exp.tasks.retrieval import retrieval
from relrep_exp.tasks.stitching import Stitching


def run_task(config: Config, runtime: Runtime, on_curve: OnCurve) -> Result:
    """Load or compute the embeddings, then measure.

    Raises:
        UserError: data and request do not go together.
    """
    timings = Result()
    with timings.timed("embed"):
        embeddings = zoo.load(config, runtime).to(runtime.device)
    problems = fit_problems(config, embeddings)
    if problems:
        raise UserError(problems)
    training = runtime.training()
    make_aligner = aligner_factory(config, embeddings, training, on_curve)
    if config.task.kind == "retrieval":
        result = retrieval(embeddings, make_aligner, config.task)
    elif config.task.kind == "reconstruction":
        images = images_of(embeddings).to(runtime.device)
        own = own_decoders(config, training, runtime.device)
        fit_decoder = image_decoder_fitter(config, training)
        result = Reconstruction(embeddings, images, make_aligner, fit_decoder, own, config.task).run()
    elif config.task.kind == "geometry":
        result = geometry(embeddings, make_aligner, config.task)
    else:
        fit_decoders = decoder_fitter(config.decoder, config.seed, training)
        result = Stitching(embeddings, make_aligner, fit_decoders, config.task).run()
    result.timings = timings.timings | result.timings
    if embeddings.notes:
        result.diagnostics["samples"] = dict(embeddings.notes)
    return result


def fit_problems(config: Config, embeddings: Embeddings) -> list[Problem]:
    """What the sizes of the data do not allow."""
    problems = zoo.encoder_problems(embeddings.names, config.task)
    paired = min(int(corpus.is_train.sum()) for corpus in embeddings.paired.values())
    aligner = config.aligner
    if isinstance(aligner, RelativeConfig | PairwiseConfig) and isinstance(config.anchors, PickedAnchors):
        support = min(paired, aligner.support)
        if config.anchors.m != "all" and config.anchors.m > support:
            what = f"anchors.m={config.anchors.m}: {config.anchors.name} picks from {support} support samples"
            problems.append(Problem(what, f"set anchors.m={support} or less, or use anchors=param"))
    if isinstance(aligner, ConsensusConfig):
        problems += _consensus_problems(aligner, embeddings, config.task.test_encoders)
    if config.task.kind != "stitching":
        return problems
    return problems + _decoder_problems(config.decoder, embeddings)


def _consensus_problems(
    aligner: ConsensusConfig, embeddings: Embeddings, tested: Sequence[str] | None
) -> list[Problem]:
    """Too few parallel samples, or more dimensions than the training encoders can have in them."""
    paired = {name: corpus.x[corpus.is_train] for name, corpus in embeddings.paired.items()}
    support = min(aligner.support, *map(len, paired.values()))
    if support < 4:
        return [Problem(f"a consensus of {support} parallel samples", "set aligner.support=4 or more")]
    dims = [sum(x.shape[1] for name, x in paired.items() if name != test) for test in tested or paired]
    most = min(support - 1, *dims)
    if aligner.m == "auto" or aligner.m <= most:
        return []
    what = (
        f"aligner.m={aligner.m}: these encoders have at most {most} dimensions in {support} parallel samples"
    )
    return [Problem(what, f"set aligner.m={most} or less, or aligner.m=auto")]


def _decoder_problems(decoder: DecoderConfig, embeddings: Embeddings) -> list[Problem]:
    """What decoders cannot be trained on."""
    problems = []
    for name, corpus in embeddings.tasks.items():
        if corpus.labels is None:
            remedy = "give data with labels, or task=slm_retrieval, which needs none"
            return [Problem("these samples have no labels to train a decoder on", remedy)]
        if len(corpus.labels[corpus.is_train].unique()) < 2:
            problems.append(
                Problem(f"{name}: all training labels are the same", "give samples of two classes")
            )
        problems += _batch_problems(decoder, int(corpus.is_train.sum()))
    return list(dict.fromkeys(problems))


def _batch_problems(decoder: DecoderConfig, train: int) -> list[Problem]:
    """A head that standardises over the batch cannot be trained on a batch of one."""
    if not isinstance(decoder, HeadConfig) or decoder.name != "mlp_paper" or train % decoder.batch != 1:
        return []
    what = f"{train} training samples leave a last batch of one, which decoder=mlp_paper cannot standardise"
    return [Problem(what, f"set decoder.batch={decoder.batch + 1}")]
