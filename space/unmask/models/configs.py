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


@dataclass(frozen=True)
class VitLinearConfig:
    """Sizes of VitLinear; None: as timm's architecture has it."""

    tower: str = "vit_large_patch14_clip_quickgelu_224"  # timm's name of the architecture
    side_px: int | None = None  # of the pictures that its positions were learned on
    patch_px: int | None = None
    width: int | None = None
    layers: int | None = None
    heads: int | None = None
    mlp_ratio: float | None = None  # width of the hidden layers, relative
    normalised: bool = True  # the linear layer sees features of length 1


ModelConfig = MobileNetGruConfig | ResNextLstmConfig | MesoTransformerConfig | VitLinearConfig

CONFIGS: dict[str, type] = {  # by the name of the architecture
    "mobilenet-gru": MobileNetGruConfig,
    "resnext-lstm": ResNextLstmConfig,
    "meso-transformer": MesoTransformerConfig,
    "vit-linear": VitLinearConfig,
}

EXTRAS = {"vit-linear": "large"}  # what of `pip install 'unmask[…]'` an architecture needs, if not `torch`
