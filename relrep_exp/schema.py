"""The shape of a configuration: every key, its type and its range. conf/ holds the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.dataclasses import dataclass

strict = ConfigDict(extra="forbid", allow_inf_nan=False)

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


@dataclass(frozen=True, config=strict)
class TaskConfig:
    """conf/task: what is measured."""

    name: Name
    kind: Literal["stitching"]
    neighbours: Count = 10
    view_samples: Count = 60
    param_batch: Count | None = None


@dataclass(frozen=True, config=strict)
class DigitsData:
    """conf/data/digits: scikit-learn's digits and their fixed stratified split."""

    name: Literal["digits"]
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    split_seed: Seed = 0


@dataclass(frozen=True, config=strict)
class PrecomputedData:
    """conf/data/precomputed: labels and split come with the embeddings' file."""

    name: Literal["precomputed"]


@dataclass(frozen=True, config=strict)
class LocalEncoderConfig:
    """One encoder trained on the spot."""

    architecture: Literal["vit", "resnet", "mlp", "gru"]
    dim: Count
    depth: Count
    seed: Seed
    epochs: Count = 20
    batch: Count = 64
    lr: Positive = 2e-3
    weight_decay: NonNegative = 0.01
    classify: NonNegative = 1.0
    reconstruct: NonNegative = 0.0
    heads: Count = 4

    @model_validator(mode="after")
    def _fits_its_architecture(self) -> Self:
        if self.architecture == "vit" and self.dim % self.heads:
            raise ValueError(f"a ViT's dim must be a multiple of its heads, {self.heads}")
        if self.architecture == "resnet" and self.dim < 4:
            raise ValueError("a ResNet needs dim >= 4")
        return self


@dataclass(frozen=True, config=strict)
class LocalZoo:
    """conf/zoo: encoders trained on the task's own training samples."""

    kind: Literal["local"]
    name: Name
    encoders: dict[Name, LocalEncoderConfig]


@dataclass(frozen=True, config=strict)
class PrecomputedZoo:
    """conf/zoo/precomputed: the user's own embeddings."""

    kind: Literal["precomputed"]
    path: str
    encoders: list[str] | None = None


@dataclass(frozen=True, config=strict)
class AbsoluteConfig:
    """conf/aligner/absolute."""

    name: Literal["absolute"]


@dataclass(frozen=True, config=strict)
class RelativeConfig:
    """conf/aligner/relative: support set and statistics shared by anchors and similarity."""

    name: Literal["relative"]
    support: Annotated[int, Field(ge=2)] = 5000
    shrinkage: Share = 0.15
    eps: NonNegative = 5e-8


@dataclass(frozen=True, config=strict)
class PickedAnchors:
    """conf/anchors: strategies without parameters of their own."""

    name: Name
    m: Count = 300


@dataclass(frozen=True, config=strict)
class ParamAnchors:
    """conf/anchors/param and param_single: PARAM with Table 5's hyperparameters."""

    name: Literal["param", "param_single"]
    m: Count = 300
    temperature: Positive = 2.9
    epochs: Count = 95
    lr: Positive = 0.03
    batch: Annotated[int, Field(ge=2)] = 1024
    coverage_chunk: Count = 16384
    nce_weight: NonNegative = 0.70
    nce_temperature: Positive = 0.10
    coverage_weight: NonNegative = 11.3
    coverage_temperature: Positive = 2.7
    orthogonality_weight: NonNegative = 0.27
    length_weight: NonNegative = 1.2


@dataclass(frozen=True, config=strict)
class SimConfig:
    """conf/sim."""

    name: Name


@dataclass(frozen=True, config=strict)
class HeadConfig:
    """conf/decoder/mlp and mlp_paper."""

    name: Literal["mlp", "mlp_paper"]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    epochs: Count = 9
    batch: Annotated[int, Field(ge=2)] = 32
    lr: Positive = 1e-3
    weight_decay: NonNegative = 1e-4


@dataclass(frozen=True, config=strict)
class LinearConfig:
    """conf/decoder/linear: logistic regression."""

    name: Literal["linear"]
    C: Positive = 0.1
    tol: Positive = 1e-3
    max_iter: Count = 1000


@dataclass(frozen=True, config=strict)
class SvmConfig:
    """conf/decoder/svm."""

    name: Literal["svm"]
    C: Positive = 1.0
    kernel: Literal["linear", "rbf", "poly", "sigmoid"] = "rbf"


@dataclass(frozen=True, config=strict)
class RuntimeConfig:
    """conf/runtime: where it runs; nothing here changes a number beyond rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=0)] = 0
    progress: Literal["auto", "on", "off"] = "auto"
    checkpoint_seconds: NonNegative = 30.0


@dataclass(frozen=True, config=strict)
class LoggerConfig:
    """conf/logger: who watches."""

    name: Literal["wandb", "csv", "tensorboard", "none"]
    mode: Literal["offline", "online"] = "offline"
    project: str = "relrep_exp"
    entity: str | None = None


@dataclass(frozen=True, config=strict)
class PathsConfig:
    """Where results go."""

    outputs: Annotated[str, Field(min_length=1)] = "outputs"


@dataclass(frozen=True, config=strict)
class ExperimentConfig:
    """conf/experiment: a set of runs, methods times axes, and how they are shown."""

    name: Name
    title: str
    methods: Annotated[dict[str, list[str]], Field(min_length=1)]
    axes: dict[str, Annotated[list[Any], Field(min_length=1)]] = field(default_factory=dict)
    metric: str = "f1_weighted"


def _anchors_kind(value: Any) -> str:
    """PARAM has hyperparameters, every other strategy has m alone."""
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)
    return "param" if name in ("param", "param_single") else "picked"


DataConfig = Annotated[DigitsData | PrecomputedData, Field(discriminator="name")]
ZooConfig = Annotated[LocalZoo | PrecomputedZoo, Field(discriminator="kind")]
AlignerConfig = Annotated[AbsoluteConfig | RelativeConfig, Field(discriminator="name")]
AnchorsConfig = Annotated[
    Annotated[ParamAnchors, Tag("param")] | Annotated[PickedAnchors, Tag("picked")],
    Discriminator(_anchors_kind),
]
DecoderConfig = Annotated[HeadConfig | LinearConfig | SvmConfig, Field(discriminator="name")]


@dataclass(frozen=True, config=strict)
class Config:
    """One run."""

    task: TaskConfig
    data: DataConfig
    zoo: ZooConfig
    aligner: AlignerConfig
    anchors: AnchorsConfig
    sim: SimConfig
    decoder: DecoderConfig
    runtime: RuntimeConfig
    logger: LoggerConfig
    paths: PathsConfig
    seed: Seed = 0
    overwrite: Literal["never", "missing", "always"] = "missing"
    plugins: list[str] = field(default_factory=list)
    experiment: ExperimentConfig | None = None
