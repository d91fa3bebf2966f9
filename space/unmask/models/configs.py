"""Define the sizes of each architecture, without torch; `architectures` builds the modules."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MobileNetGruConfig:
    """Sizes of MobileNetGru."""

    hidden: int = 128  # width of the per-frame summary and of the GRU's state
    dropout: float = 0.2  # before the last layer


@dataclass(frozen=True)
class ResNextLstmConfig:
    """Sizes of ResNextLstm."""

    hidden: int = 512  # LSTM state in each direction
    layers: int = 2
    dropout: float = 0.4  # between LSTM layers and before the last layer


@dataclass(frozen=True)
class MesoTransformerConfig:
    """Sizes of MesoTransformer."""

    width: int = 1  # multiplies the published channel counts of MesoInception-4
    pool_side: int = 4  # the map is averaged to this many cells a side before the merge
    frequency_channels: int = 32  # out of the small CNN over the spectrum
    merged: int = 256  # per-frame vector, the Transformer's width
    layers: int = 2
    heads: int = 4
    feedforward: int = 512
    dropout: float = 0.1


ModelConfig = MobileNetGruConfig | ResNextLstmConfig | MesoTransformerConfig

CONFIGS: dict[str, type] = {  # by the name of the architecture
    "mobilenet-gru": MobileNetGruConfig,
    "resnext-lstm": ResNextLstmConfig,
    "meso-transformer": MesoTransformerConfig,
}
