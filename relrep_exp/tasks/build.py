"""From configuration to a finished task: embeddings, aligners, decoders."""

from __future__ import annotations

from relrep_exp.encoders import zoo
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.errors import Problem, UserError
from relrep_exp.methods import OnCurve, aligner_factory
from relrep_exp.runtime import Runtime
from relrep_exp.schema import Config, DecoderConfig, HeadConfig, PickedAnchors, RelativeConfig
from relrep_exp.tasks.decoders import decoder_fitter
from relrep_exp.tasks.stitching import Result, Stitching


def run_task(config: Config, runtime: Runtime, on_curve: OnCurve) -> Result:
    """Load or compute the embeddings, then measure.

    Raises:
        UserError: data and request do not go together.
    """
    timings = Result()
    with timings.timed("embed"):
        embeddings = zoo.load(config, runtime.progress).to(runtime.device)
    problems = fit_problems(config, embeddings)
    if problems:
        raise UserError(problems)
    training = runtime.training()
    make_aligner = aligner_factory(config, embeddings, training, on_curve)
    fit_decoders = decoder_fitter(config.decoder, config.seed, training)
    result = Stitching(embeddings, make_aligner, fit_decoders, config.task).run()
    result.timings = timings.timings | result.timings
    return result


def fit_problems(config: Config, embeddings: Embeddings) -> list[Problem]:
    """What the sizes of the data do not allow."""
    problems = []
    names = list(embeddings.spaces)
    if len(names) < 2:
        problems.append(Problem(f"one encoder only: {names[0]}", "stitching needs at least two"))
    train = int(embeddings.is_train.sum())
    if isinstance(config.aligner, RelativeConfig) and isinstance(config.anchors, PickedAnchors):
        support = min(train, config.aligner.support)
        if config.anchors.m > support:
            what = f"anchors.m={config.anchors.m}: {config.anchors.name} picks from {support} support samples"
            problems.append(Problem(what, f"set anchors.m={support} or less, or use anchors=param"))
    return problems + _batch_problems(config.decoder, train)


def _batch_problems(decoder: DecoderConfig, train: int) -> list[Problem]:
    """A head that standardises over the batch cannot be trained on a batch of one."""
    if not isinstance(decoder, HeadConfig) or decoder.name != "mlp_paper" or train % decoder.batch != 1:
        return []
    what = f"{train} training samples leave a last batch of one, which decoder=mlp_paper cannot standardise"
    return [Problem(what, f"set decoder.batch={decoder.batch + 1}")]
