"""conf/zoo/slm_local: tiny language models, each trained from scratch on template sentences of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema import TemplatesData
from relrep_exp.data import templates
from relrep_exp.errors import user_error
from relrep_exp.store import versions
from relrep_exp.store.keys import content_key

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from relrep_exp.config.schema import DataConfig, LocalLmConfig, LocalLmZoo
    from relrep_exp.data.template_grammar import Sentence
    from relrep_exp.encoders.encoder import Encoder, EncoderSource
    from relrep_exp.training.device import Training


def sources(
    zoo: LocalLmZoo, data: DataConfig, outputs: Path, training: Training | None
) -> dict[str, EncoderSource]:
    """The zoo's encoders by name; `training` may be None where only identities are asked for.

    Raises:
        UserError: the data are not the template sentences.
    """
    if not isinstance(data, TemplatesData):
        what = f"data={data.name} does not go with this zoo, whose models know the template language alone"
        raise user_error(what, "use data=templates, or the pretrained models of zoo=slm")
    return {name: LocalLmSource(config, data, outputs, training) for name, config in zoo.encoders.items()}


@dataclass(frozen=True)
class LocalLmSource:
    """One language model, trained when it is first loaded.

    Attributes:
        config: architecture and training.
        data: the sentences that it will be asked about, and never sees in training.
        outputs: where its checkpoint lies.
        training: how it is trained, which changes no number.
    """

    config: LocalLmConfig
    data: TemplatesData
    outputs: Path
    training: Training | None

    @property
    def view(self) -> str:
        """English."""
        return templates.VIEW

    def identity(self) -> dict[str, Any]:
        """Architecture, training, and the sentences that it is not trained on."""
        kept_out = templates.identity(self.data, [self.view], offline=True)[self.view]
        return {"encoder": asdict(self.config), "kept_out": kept_out, "version": versions.LOCAL_LM}

    def load(self) -> Encoder:
        """The trained model, from its checkpoint if there is one."""
        import torch

        from relrep_exp.encoders.text_model import TextEncoder
        from relrep_exp.encoders.tokenizer import from_json
        from relrep_exp.store.tensors import TensorStore

        key = content_key(self.identity())
        store = TensorStore(self.outputs / "checkpoints")
        entry = store.get_or_compute(key, lambda: self._train(self.outputs / "checkpoints" / f"{key}.ckpt"))
        tokenizer = from_json(entry.describe["tokenizer"])
        with torch.random.fork_rng(devices=[]):
            model: Any = untrained(self.config, tokenizer).base_model
        model.load_state_dict(entry.tensors)
        return TextEncoder(model, tokenizer, "last", self.config.layer, self.config.max_length)

    def sentences(self) -> list[Sentence]:
        """What it is trained on: none says what one of the data's sentences says, in whatever words."""
        train, test = templates.split(self.data)
        return templates.sentences(self.config.sentences, self.config.seed, exclude=train + test)

    def _train(self, checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tokenizer first, then weights; of the language head nothing is kept but its tied embeddings."""
        import torch

        from relrep_exp.encoders.local.language_model import train_language_model
        from relrep_exp.encoders.text_tokens import Tokens
        from relrep_exp.encoders.tokenizer import to_json, train_tokenizer

        assert self.training is not None, "whoever loads says how to train"
        config, sentences = self.config, self.sentences()
        texts = [str(sentence) for sentence in sentences]
        paraphrases = [str(templates.paraphrase(sentence)) for sentence in sentences]
        tokenizer = train_tokenizer(texts, config.vocabulary, "bpe")
        tokens = Tokens(tokenizer, config.max_length, len(tokenizer), positions=False)
        training = replace(self.training, checkpoint=checkpoint)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = untrained(config, tokenizer)
            curves = train_language_model(model, tokens, texts, paraphrases, config, training)
        describe = {"encoder": asdict(config), "tokenizer": to_json(tokenizer), "curves": curves}
        return dict(model.base_model.state_dict()), describe


def untrained(config: LocalLmConfig, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A language model without dropout; draws its weights from torch's current generator."""
    import transformers as hf

    vocabulary = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "initializer_range": config.initial_std,
        "tie_word_embeddings": True,
    }
    if config.architecture == "gpt2":
        return hf.GPT2LMHeadModel(hf.GPT2Config(**vocabulary, **_gpt2(config)))
    if config.architecture == "llama":
        return hf.LlamaForCausalLM(hf.LlamaConfig(**vocabulary, **_rotary(config)))
    head = config.dim // config.heads
    # One key and value head for all queries, as in Gemma 3 1B; no sentence outgrows the sliding window.
    more = {"num_key_value_heads": 1, "head_dim": head, "query_pre_attn_scalar": head}
    shape = hf.Gemma3TextConfig(**vocabulary, **{**_rotary(config), **more}, sliding_window=config.max_length)
    return hf.Gemma3ForCausalLM(shape)


def _gpt2(config: LocalLmConfig) -> dict[str, Any]:
    return {
        "n_embd": config.dim,
        "n_layer": config.depth,
        "n_head": config.heads,
        "n_positions": config.max_length,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }


def _rotary(config: LocalLmConfig) -> dict[str, Any]:
    """Of Llama and Gemma; their gated MLPs have three matrices, so 8/3 of the width costs GPT-2's 4."""
    return {
        "hidden_size": config.dim,
        "intermediate_size": 8 * config.dim // 3,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "max_position_embeddings": config.max_length,
    }
