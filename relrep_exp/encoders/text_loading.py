"""Loading a checkpoint of transformers: quietly, completely or not at all, and no foreign code."""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from relrep_exp.encoders.checkpoint import no_larger_than, require_counts, staged
from relrep_exp.encoders.encoder import DTYPES
from relrep_exp.encoders.text import CONFIG, TextSource, files, read_json, remedy, weights
from relrep_exp.encoders.text_model import TextEncoder, vocabulary
from relrep_exp.errors import Problem, UserError, user_error

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

    from relrep_exp.training.device import Training

_CASED = 0.05  # share of words; an uncased vocabulary has next to none, a cased one many more
_CLIP = ("clip", "clip_text_model")
_NAMED = 3  # keys that a message spells out
_FEW = 16  # tokens that a tokenizer may have beyond the model's: Gemma 3 has one, people add [PAD] to GPT-2


def load(source: TextSource, training: Training) -> TextEncoder:
    """Load the encoder of a source, on the CPU; nothing is looked for but in its folder.

    Raises:
        UserError: everything that is wrong with the folder, as far as it can be told at once.
    """
    config, key, folder = source.config, source.key, source.folder()
    stored = weights(folder)
    with _quiet(), staged(folder, files(folder)) as folder:
        tensors = [folder / name for name in stored if not name.endswith(".json")]
        _attempt(lambda: require_counts(tensors, read_json(folder, CONFIG)), folder, key)
        settings = _settings(folder, key)
        if settings.model_type in _CLIP and config.pooling == "cls":  # it reads from left to right
            what = f"{key}.pooling=cls: the first token of CLIP's text tower has seen nothing of the text"
            raise user_error(what, f"use {key}.pooling=last, the end of the text, or mean")
        tokenizer = _tokenizer(folder, key)
        _check_case(tokenizer, folder, key)
        model = _model(folder, settings, tensors, source)
        known = vocabulary(model)  # a tokenizer of another model would give tokens that this one lacks
        if len(tokenizer) > known + max(_FEW, known // 1000):
            what = f"{key}: {folder}: the tokenizer has {len(tokenizer)} tokens, the model {known}"
            raise user_error(what, f"copy the model's own tokenizer there; {remedy(key)}")
        return _attempt(lambda: _encoder(model, tokenizer, source), folder, key)  # type: ignore[no-any-return]


def _encoder(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: TextSource) -> TextEncoder:
    """Put both together; what is wrong with the settings is told by their keys."""
    config = source.config
    try:
        return TextEncoder(model, tokenizer, config.pooling, config.layer, config.max_length)
    except UserError as error:
        raise UserError(Problem(f"{source.key}.{p.what}", p.remedy) for p in error.problems) from None


def _settings(folder: Path, key: str) -> PreTrainedConfig:
    """The model's configuration; what transformers has no class for is refused here."""
    from transformers import CONFIG_MAPPING, AutoConfig, __version__

    said = read_json(folder, CONFIG)
    kind = said.get("model_type")
    if kind is not None and not isinstance(kind, str):
        raise user_error(f"{key}: {folder / CONFIG} says model_type={kind!r:.50}", remedy(key))
    if kind not in CONFIG_MAPPING and "auto_map" in said:
        what = f"{key}: {folder} brings code of its own, which is never run"
        raise user_error(what, f"choose a model that transformers itself has code for: {key}.path or .model")
    if kind is not None and kind not in CONFIG_MAPPING:
        what = f"{key}: transformers {__version__} does not know the architecture {kind!r} of {folder}"
        raise user_error(what, f"install a newer transformers, or choose another model: {key}.path or .model")
    settings: PreTrainedConfig = _attempt(
        lambda: AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
        folder,
        key,
    )
    if settings.is_encoder_decoder:
        what = f"{key}: {folder} is an encoder with a decoder ({kind}); one embedding needs one of the two"
        raise user_error(what, f"choose an encoder or a causal language model: {key}.path or .model")
    return settings


def _tokenizer(folder: Path, key: str) -> PreTrainedTokenizerFast:
    import transformers

    said = read_json(folder, "tokenizer_config.json")
    if "auto_map" in said and not hasattr(transformers, str(said.get("tokenizer_class"))):
        what = f"{key}: the tokenizer in {folder} needs code of its own, which is never run"
        raise user_error(what, f"choose a model whose tokenizer transformers knows: {key}.path or .model")
    tokenizer = _attempt(
        lambda: transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        ),
        folder,
        key,
        "the tokenizer",
    )
    if not tokenizer.is_fast:
        raise _slow(folder, key)
    return tokenizer  # type: ignore[no-any-return]


def _check_case(tokenizer: PreTrainedTokenizerFast, folder: Path, key: str) -> None:
    """BERT's tokenizer lowers texts unless tokenizer_config.json forbids it, and that file is easily lost.

    Raises:
        UserError: texts are lowered for a vocabulary that is not.
    """
    from tokenizers.models import WordPiece

    normalizer = tokenizer.backend_tokenizer.normalizer
    if not isinstance(tokenizer.backend_tokenizer.model, WordPiece):
        return  # that of CLIP lowers texts, too, and spells bytes as letters of either case
    if normalizer is None or normalizer.normalize_str("A") != "a":
        return
    special = set(tokenizer.all_special_tokens)
    words = [
        token for token in tokenizer.get_vocab() if token.lower() != token.upper() and token not in special
    ]
    cased = sum(word != word.lower() for word in words)
    if cased > _CASED * len(words):
        what = (
            f"{key}: the tokenizer in {folder} lowers texts, but {cased} of its {len(words)} words are cased"
        )
        raise user_error(
            what, f'put {{"do_lower_case": false}} into its tokenizer_config.json; {remedy(key)}'
        )


def _model(
    folder: Path, settings: PreTrainedConfig, tensors: list[Path], source: TextSource
) -> PreTrainedModel:
    """The model without a head; every weight comes from the folder.

    Raises:
        UserError: transformers had to make weights up. A pooler is not among them: its output is never read.
    """
    from transformers import AutoModel, CLIPTextModel

    # Of the two towers of CLIP's checkpoints the one of texts; the other's weights are not read.
    key, tower = source.key, settings.model_type == "clip"
    make: Any = CLIPTextModel if tower else AutoModel

    def read() -> Any:
        # Weights that the folder lacks are drawn before they are told of.
        with torch.random.fork_rng(devices=[]), no_larger_than(tensors):
            return make.from_pretrained(
                folder,
                config=settings.get_text_config() if tower else settings,
                dtype=DTYPES[source.dtype],
                local_files_only=True,
                trust_remote_code=False,
                weights_only=True,
                use_safetensors=any(path.suffix == ".safetensors" for path in tensors),
                ignore_mismatched_sizes=True,  # told below, with names
                output_loading_info=True,
            )

    model, report = _attempt(read, folder, key)
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    wrong = [f"{n} {tuple(there)}, not {tuple(here)}" for n, there, here in sorted(report["mismatched_keys"])]
    found = []
    for what, names in (("are missing", missing), ("have other shapes than config.json says", wrong)):
        some = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        if names:
            found.append(Problem(f"{key}: {folder}: {len(names)} weights {what}: {some}", remedy(key)))
    if found:
        raise UserError(found)
    return model  # type: ignore[no-any-return]


def _attempt(read: Any, folder: Path, key: str, what: str = "the model") -> Any:
    """Read; files can make the libraries below raise nearly anything."""
    try:
        return read()
    except pickle.UnpicklingError as error:
        said = f"{key}: {folder}: its pickled weights hold more than tensors, which could be code: not loaded"
        raise user_error(said, f"get the weights as safetensors; {remedy(key)}") from error
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if "sentencepiece" in str(error) or "tiktoken" in str(error):
            raise _slow(folder, key) from error
        first = (str(error).splitlines() or [""])[0][:200]
        said = f"{key}: {what} in {folder} cannot be loaded: {type(error).__name__}: {first}"
        raise user_error(said, remedy(key)) from error


def _slow(folder: Path, key: str) -> UserError:
    what = f"{key}: the tokenizer in {folder} has no tokenizer.json, and none can be made of its files here"
    steps = (
        "make one where sentencepiece is installed, AutoTokenizer.from_pretrained(...).save_pretrained(...)"
    )
    return user_error(what, f"{steps}; {remedy(key)}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bars, warnings and reports: what matters in them is raised."""
    from transformers.utils import logging as noise

    bars: Any = noise  # its switches of bars have no types

    level, shown = noise.get_verbosity(), noise.is_progress_bar_enabled()
    noise.set_verbosity(logging.CRITICAL)
    bars.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        noise.set_verbosity(level)
        if shown:
            bars.enable_progress_bar()
