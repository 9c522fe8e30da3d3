"""From configuration to a finished task: embeddings, aligners, decoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.config import misfits
from relrep_exp.config.schema import (
    Config,
    ConsensusConfig,
    DecoderConfig,
    HeadConfig,
    InverseRelativeConfig,
    PairwiseConfig,
    PickedAnchors,
    RelativeConfig,
    RescalingTask,
)
from relrep_exp.encoders.asked import Asked
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.errors import Problem, UserError
from relrep_exp.tasks.aligners import OnCurve, aligner_factory, anchor_chooser
from relrep_exp.tasks.checks_of_embeddings import embedding_problems
from relrep_exp.tasks.decoders.classifiers import decoder_fitter
from relrep_exp.tasks.geometry import geometry
from relrep_exp.tasks.identity import method_name
from relrep_exp.tasks.invertibility import invertibility
from relrep_exp.tasks.result import Result
from relrep_exp.tasks.retrieval import retrieval
from relrep_exp.tasks.statistics_cache import Sharing
from relrep_exp.tasks.stitching import Stitching
from relrep_exp.training.device import Runtime


def run_task(config: Config, runtime: Runtime, on_curve: OnCurve) -> Result:
    """Load or compute the embeddings, then measure.

    Raises:
        UserError: data and request do not go together.
    """
    timings = Result()
    with timings.timed("embed"):
        embeddings = Asked(config).embeddings(runtime).to(runtime.device)
    problems = fit_problems(config, embeddings)
    if problems:
        raise UserError(problems)
    result = measure(config, embeddings, runtime, on_curve)
    result.timings = timings.timings | result.timings
    if embeddings.notes:
        result.diagnostics["samples"] = dict(embeddings.notes)
    return result


def measure(config: Config, embeddings: Embeddings, runtime: Runtime, on_curve: OnCurve) -> Result:
    """What the task's kind measures on the embeddings, which the configuration does not have to be of."""
    training, sharing = runtime.training(), Sharing.of(config)
    if isinstance(config.task, RescalingTask):
        from relrep_exp.tasks.rescaling import rescaling  # Lightning takes seconds to import

        return rescaling(embeddings, config.task, config.seed, training, method_name(config))
    if config.task.kind == "invertibility":
        assert isinstance(config.aligner, InverseRelativeConfig), "this task is checked to have it"
        choose = anchor_chooser(config, config.aligner, embeddings)
        return invertibility(embeddings, choose, config.aligner, method_name(config), sharing)
    make_aligner = aligner_factory(config, embeddings, training, on_curve)
    if config.task.kind == "retrieval":
        return retrieval(embeddings, make_aligner, config.task, sharing)
    if config.task.kind == "reconstruction":
        return _reconstruction(config, runtime, embeddings, make_aligner, sharing)
    if config.task.kind == "geometry":
        return geometry(embeddings, make_aligner, config.task, sharing)
    fit_decoders = decoder_fitter(config.decoder, config.seed, training)
    return Stitching(embeddings, make_aligner, fit_decoders, config.task, sharing).run()


def _reconstruction(
    config: Config,
    runtime: Runtime,
    embeddings: Embeddings,
    make_aligner: Callable[[], Aligner],
    sharing: Sharing,
) -> Result:
    """What draws and compares images takes seconds to import, which no other task has to pay."""
    from relrep_exp.tasks.decoders.image_decoders import image_decoder_fitter
    from relrep_exp.tasks.own_decoders import images_of, own_decoders
    from relrep_exp.tasks.reconstruction import Reconstruction

    training = runtime.training()
    images = images_of(embeddings).to(runtime.device)
    own = own_decoders(config, training, runtime.device)
    fit_decoder = image_decoder_fitter(config, training)
    return Reconstruction(embeddings, images, make_aligner, fit_decoder, own, config.task, sharing).run()


def fit_problems(config: Config, embeddings: Embeddings) -> list[Problem]:
    """What the data do not allow."""
    alone = config.task.kind in ("invertibility", "rescaling")  # every encoder is measured by itself
    problems = [] if alone else misfits.encoder_problems(embeddings.names, config.task)
    problems += embedding_problems(config, embeddings)
    paired = embeddings.paired_count
    aligner = config.aligner
    if isinstance(aligner, RelativeConfig | PairwiseConfig) and isinstance(config.anchors, PickedAnchors):
        support = min(paired, aligner.support)
        if config.anchors.m != "all" and config.anchors.m > support:
            what = f"anchors.m={config.anchors.m}: {config.anchors.name} picks from {support} support samples"
            other = "use anchors=param" if isinstance(aligner, RelativeConfig) else "anchors.m=all"
            problems.append(Problem(what, f"set anchors.m={support} or less, or {other}"))
    if isinstance(aligner, ConsensusConfig):
        problems += _consensus_problems(aligner, embeddings, config.task.test_encoders)
    if config.task.kind not in ("stitching", "rescaling"):
        return problems
    return problems + _decoder_problems(config.decoder, embeddings)


def _consensus_problems(
    aligner: ConsensusConfig, embeddings: Embeddings, tested: Sequence[str] | None
) -> list[Problem]:
    """Too few parallel samples, or more dimensions than the training encoders can have in them."""
    paired = {name: corpus.x[corpus.is_train] for name, corpus in embeddings.paired.items()}
    support = min(aligner.support, *map(len, paired.values()))
    if support < 4:
        what = f"a consensus needs at least 4 parallel samples, and there are {support}"
        return [Problem(what, "give more training samples that are paired")]
    live = {name: int((x != x[0]).any(0).sum()) for name, x in paired.items()}  # dead units give no dimension
    dims = [sum(d for name, d in live.items() if name != test) for test in tested or paired]
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
