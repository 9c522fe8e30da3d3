"""conf/zoo/text_local: tiny BERTs, each trained on the task's training texts of its own language alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.encoders.training_texts import TrainingTexts
from relrep_exp.store import versions
from relrep_exp.store.keys import content_key

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import BertModel

    from relrep_exp.config.schema import DataConfig, LocalBertConfig, LocalBertZoo
    from relrep_exp.encoders.encoder import Encoder, EncoderSource
    from relrep_exp.training.device import Training


def sources(
    zoo: LocalBertZoo, data: DataConfig, outputs: Path, training: Training | None, offline: bool
) -> dict[str, EncoderSource]:
    """The zoo's encoders by name; `training` may be None where only identities are asked for.

    Raises:
        UserError: the data are no texts.
    """
    texts = TrainingTexts(data, [config.language for config in zoo.encoders.values()], offline)
    return {name: LocalBertSource(config, texts, outputs, training) for name, config in zoo.encoders.items()}


@dataclass(frozen=True)
class LocalBertSource:
    """One encoder, trained when it is first loaded.

    Attributes:
        config: architecture and training.
        texts: what it is trained on.
        outputs: where its checkpoint lies.
        training: how it is trained, which changes no number.
    """

    config: LocalBertConfig
    texts: TrainingTexts
    outputs: Path
    training: Training | None

    @property
    def view(self) -> str:
        """The language that it reads."""
        return self.config.language

    def identity(self) -> dict[str, Any]:
        """Architecture, training and the texts that it is trained on.

        Raises:
            UserError: files are missing, or there is no such language.
        """
        trained_on = self.texts.identity(self.view)
        return {"encoder": asdict(self.config), "trained_on": trained_on, "version": versions.LOCAL_BERT}

    def load(self) -> Encoder:
        """The trained encoder, from its checkpoint if there is one."""
        import torch

        from relrep_exp.encoders.text_model import TextEncoder
        from relrep_exp.encoders.tokenizer import from_json
        from relrep_exp.store.tensors import TensorStore

        key, folder = content_key(self.identity()), self.outputs / "checkpoints"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            entry = TensorStore(folder).get_or_compute(key, lambda: self._train(folder / f"{key}.ckpt"))
            tokenizer = from_json(entry.describe["tokenizer"])
            model = _untrained(self.config, len(tokenizer))
        model.load_state_dict(entry.tensors)
        return TextEncoder(model, tokenizer, self.config.pooling, max_length=self.config.max_length)

    def _train(self, checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tokenizer first, then weights, from the training texts of one language."""
        from relrep_exp.encoders.local.masked_language import train_bert
        from relrep_exp.encoders.text_tokens import Tokens
        from relrep_exp.encoders.tokenizer import to_json, train_tokenizer

        assert self.training is not None, "whoever loads says how to train"
        config, texts = self.config, self.texts.texts(self.view)
        tokenizer = train_tokenizer(texts, config.vocabulary, "wordpiece")
        tokens = Tokens(tokenizer, config.max_length, len(tokenizer), positions=False)
        training = replace(self.training, checkpoint=checkpoint)
        model, ids = _untrained(config, len(tokenizer)), tokens.batch(texts)["input_ids"]
        curves = train_bert(model, tokenizer, ids, self.texts.labels(self.view), config, training)
        describe = {"encoder": asdict(config), "tokenizer": to_json(tokenizer), "curves": curves}
        return dict(model.state_dict()), describe


def _untrained(config: LocalBertConfig, vocabulary: int) -> BertModel:
    """A BERT without dropout; draws its weights from torch's current generator."""
    from transformers import BertConfig, BertModel

    shape = BertConfig(
        vocab_size=vocabulary,
        hidden_size=config.dim,
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        intermediate_size=4 * config.dim,
        max_position_embeddings=config.max_length,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertModel(shape, add_pooling_layer=False)
