"""One run: task, method, machine; data, parallel source and zoo have files of their own."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from relrep_exp.config.schema.aligner import AlignerConfig, Standardise
from relrep_exp.config.schema.data import DataConfig
from relrep_exp.config.schema.experiment import ExperimentConfig, ProfileName
from relrep_exp.config.schema.parallel import ParallelConfig
from relrep_exp.config.schema.types import (
    Channels,
    Count,
    Kinds,
    Name,
    NonNegative,
    Positive,
    ScalingName,
    Seed,
    Share,
    strict,
)
from relrep_exp.config.schema.zoos import ZooConfig

LEAST_PERMUTATIONS = 19


def _enough_to_show(permutations: int) -> int:
    if 0 < permutations < LEAST_PERMUTATIONS:
        raise ValueError(f"of so few none shows anything at 5 %: {LEAST_PERMUTATIONS} or more, or 0 for none")
    return permutations


Permutations = Annotated[int, Field(ge=0), AfterValidator(_enough_to_show)]


@dataclass(frozen=True, config=strict)
class TaskConfig:
    """conf/task: what is measured."""

    compares: ClassVar[bool] = False  # representations as they are, so in one common space
    decodes: ClassVar[bool] = False  # the decoder that `decoder=` chooses reads representations
    labelled: ClassVar[bool] = False  # decoders are trained that tell classes apart
    aligned: ClassVar[bool] = True  # an aligner for each test encoder, on all others; or each encoder alone

    name: Name
    kind: Name
    neighbours: Count = 10
    permutations: Literal["auto"] | Permutations = "auto"
    view_samples: Count = 60
    view_anchors: Annotated[int, Field(ge=0)] = 0
    test_encoders: Annotated[list[Name], Field(min_length=1)] | None = None


@dataclass(frozen=True, config=strict)
class StitchingTask(TaskConfig):
    """A decoder trained on one encoder reads another."""

    decodes: ClassVar[bool] = True
    labelled: ClassVar[bool] = True


@dataclass(frozen=True, config=strict)
class RetrievalTask(TaskConfig):
    """A sample finds itself in another encoder."""

    compares: ClassVar[bool] = True


@dataclass(frozen=True, config=strict)
class ReconstructionTask(TaskConfig):
    """A decoder trained on one encoder draws images from another."""

    decodes: ClassVar[bool] = True


@dataclass(frozen=True, config=strict)
class GeometryTask(TaskConfig):
    """What deformations do to representations."""

    compares: ClassVar[bool] = True


@dataclass(frozen=True, config=strict)
class InvertibilityTask(TaskConfig):
    """What is left of a space in its relative representation."""

    aligned: ClassVar[bool] = False


@dataclass(frozen=True, config=strict)
class RescalingTask(TaskConfig):
    """conf/task/rescaling: what decoders make of embeddings that are scaled."""

    labelled: ClassVar[bool] = True
    aligned: ClassVar[bool] = False

    activation: Literal["relu", "tanh", "cosine"] = "relu"


@dataclass(frozen=True, config=strict)
class PickedAnchors:
    """conf/anchors: strategies without parameters of their own."""

    name: Name
    m: Count | Literal["all"] = 300


@dataclass(frozen=True, config=strict)
class ParamAnchors:
    """conf/anchors/param, which alone has Table 5's numbers, and what param_single shares with it."""

    name: Literal["param", "param_single"]
    m: Count
    temperature: Positive
    epochs: Count
    lr: Positive
    batch: Annotated[int, Field(ge=2)]
    coverage_chunk: Count
    nce_weight: NonNegative
    nce_temperature: Positive
    coverage_weight: NonNegative
    coverage_temperature: Positive
    orthogonality_weight: NonNegative
    length_weight: NonNegative
    init_std: Positive  # at 0 the rows of P are equal, their gradients too: all anchors stay one
    start: Literal["normal", "consensus"]
    pairs: Literal["all", "support"]


@dataclass(frozen=True, config=strict)
class SingleParamAnchors(ParamAnchors):
    """conf/anchors/param_single."""

    name: Literal["param_single"]
    learned_on: Literal["decoder", "first"] = "decoder"


@dataclass(frozen=True, config=strict)
class SimConfig:
    """conf/sim."""

    name: Name


@dataclass(frozen=True, config=strict)
class HeadConfig:
    """conf/decoder/mlp and mlp_paper."""

    draws: ClassVar[bool] = False  # images, or classes

    name: Literal["mlp", "mlp_paper"]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    epochs: Count = 9
    batch: Annotated[int, Field(ge=2)] = 32
    lr: Positive = 1e-3
    weight_decay: NonNegative = 1e-4
    scaling: ScalingName = "std"


@dataclass(frozen=True, config=strict)
class LinearConfig:
    """conf/decoder/linear: logistic regression."""

    draws: ClassVar[bool] = False

    name: Literal["linear"]
    C: Positive = 0.1
    tol: Positive = 1e-3
    max_iter: Count = 1000
    scaling: ScalingName = "per_feature"


@dataclass(frozen=True, config=strict)
class SvmConfig:
    """conf/decoder/svm."""

    draws: ClassVar[bool] = False

    name: Literal["svm"]
    C: Positive = 1.0
    kernel: Literal["linear", "rbf", "poly", "sigmoid"] = "rbf"
    scaling: ScalingName = "per_feature"


@dataclass(frozen=True, config=strict)
class ConvConfig:
    """conf/decoder/conv: draws an image from a representation."""

    draws: ClassVar[bool] = True

    name: Literal["conv"]
    channels: Channels = field(default_factory=lambda: [16, 32])
    epochs: Count = 3
    least_steps: Count = 450
    batch: Annotated[int, Field(ge=2)] = 128
    lr: Positive = 2e-3
    scaling: ScalingName = "std"


@dataclass(frozen=True, config=strict)
class RuntimeConfig:
    """conf/runtime: where it runs; but for `precision`, nothing here changes a number beyond rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Count | Literal["all"] = 1
    precision: Literal["float32", "bf16", "tf32"] = "float32"
    threads: Annotated[int, Field(ge=0)] = 0
    progress: Literal["auto", "on", "off"] = "auto"
    checkpoint_seconds: NonNegative = 30.0
    offline: bool = False
    batch: Count | Literal["auto"] = 64
    batch_tokens: Count = 16384
    shard: Count = 4096
    workers: Annotated[int, Field(ge=0)] = 0
    resize: Literal["worker", "device"] = "worker"
    compile: bool = False
    channels_last: bool = False


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


TASKS = Kinds(
    "kind",
    {
        "stitching": StitchingTask,
        "retrieval": RetrievalTask,
        "reconstruction": ReconstructionTask,
        "geometry": GeometryTask,
        "invertibility": InvertibilityTask,
        "rescaling": RescalingTask,
    },
    room="relrep_exp.tasks",
)
ANCHORS = Kinds("name", {"param": ParamAnchors, "param_single": SingleParamAnchors}, otherwise=PickedAnchors)
DECODERS = Kinds(
    "name",
    {
        "mlp": HeadConfig,
        "mlp_paper": HeadConfig,
        "linear": LinearConfig,
        "svm": SvmConfig,
        "conv": ConvConfig,
    },
    room="relrep_exp.tasks.decoders",
    has={"draws": False},
)
AnchorsConfig = Annotated[ParamAnchors | PickedAnchors, ANCHORS]
DecoderConfig = Annotated[HeadConfig | LinearConfig | SvmConfig | ConvConfig, DECODERS]


@dataclass(frozen=True, config=strict)
class GeometryConfig:
    """What aligners and anchors take of these where they are not told otherwise."""

    shrinkage: Share | Literal["auto"] = 0.15
    standardise: Standardise = "none"
    pairs: Literal["all", "support"] = "support"


@dataclass(frozen=True, config=strict)
class Config:
    """One run."""

    task: Annotated[TaskConfig, TASKS]
    data: DataConfig
    parallel: ParallelConfig
    zoo: ZooConfig
    aligner: AlignerConfig
    anchors: AnchorsConfig
    sim: SimConfig
    decoder: DecoderConfig
    runtime: RuntimeConfig
    logger: LoggerConfig
    paths: PathsConfig
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    seed: Seed = 0
    overwrite: Literal["never", "missing", "always"] = "missing"
    plugins: list[str] = field(default_factory=list)
    experiment: ExperimentConfig | None = None
    profile: ProfileName = "paper"
    plan: bool | Literal["commands"] = False
