"""Facts for model cards that no evaluation measures: what a model was trained on, under which terms, known limits.

Whoever trains a model writes its entry of TRAINED; the commands are in `training/runs/NAME.sh`, which the card quotes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSource:
    """A data set that models were trained on."""

    name: str
    citation: str
    terms: str
    dataset_id: str | None = None  # for the Hub's metadata


@dataclass(frozen=True)
class Trained:
    """What the card says of one model's training."""

    summary: str  # the architecture in a sentence
    sources: dict[str, str]  # key of SOURCES: what of it was used
    started_from: str
    chosen_by: str  # how the epoch, the calibration and the thresholds were chosen
    limits: tuple[str, ...]  # that no number shows
    base_model: str | None = None  # for the Hub's metadata


SOURCES = {
    "dfdc": DataSource("DFDC", "Dolhansky et al., 2020", "research, non-commercial", "dfdc"),
    "ffhq": DataSource("FFHQ", "Karras et al., 2019", "CC BY-NC-SA 4.0: non-commercial", "ffhq"),
    "talking": DataSource("Clips of people talking", "provenance not stated", "terms not stated"),
}

USED = {
    "dfdc": "22,000 face crops of the training set, half real, half fake, and ten of its videos",
    "ffhq": "599 photographs, as real faces for blending",
    "talking": "eight short clips, presumed real; eight more were only looked at",
}
CHOSEN = (
    "The epoch, the calibration and the thresholds were chosen on the DFDC validation split and on blended fakes of "
    "its people. Actors of DFDC appear on both sides of that split, so numbers on it are optimistic."
)
DISTILLED = "random weights; half of its target was the probability that mobilenet-gru gives (knowledge distillation)"
MOSTLY_BLENDED = (
    "About 60 % of its training fakes are blended from real faces (Shiohara & Yamasaki, CVPR 2022), and most clips are "
    "made of single frames: it has seen few fakes that move."
)

TRAINED: dict[str, Trained] = {
    "mobilenet-gru": Trained(
        summary="MobileNetV2 on each frame, a GRU over the frames of a clip, one logit: positive means fake.",
        sources=USED,
        started_from="torchvision's ImageNet weights (the backbone)",
        base_model="torchvision/mobilenet_v2",
        chosen_by=CHOSEN,
        limits=(
            "The first stage, at 160 px, was trained in three runs of 3, 2 and 5 epochs; the first `frames` command of "
            "the script takes their place.",
            "Of eight clips of ordinary people that were held back the highest got 0.71, of the eight it was trained "
            "on one got 0.93 and one 0.88 (none is called fake), and of 20 real videos of FaceForensics++ at the "
            "strongest compression two got 0.91: such faces are few in the training set. The thresholds leave room for "
            "them, at the price of many answers.",
            "Blur looks like manipulation to it: a face whose crops are less sharp than a fitted threshold gets no "
            "answer, and few do that were stored four times smaller.",
            "It does not know generated videos, which have no border of a paste: of 121 clips of seven talking-head "
            'and avatar generators of 2024-2025 it called none fake and 11 "No sign of a deepfake" (AUC 0.469, '
            "0.37-0.57, against 52 real clips).",
            "Of 2,829 real photographs with group labels (UTKFace, one frame each) it called 4.2 % fake, unequally: "
            "10.4 % of Indian women, 6.5 % of Indian men, 5.7 % of East Asian men, 2.5 % of white women, 2.1 % of "
            "white men.",
            MOSTLY_BLENDED,
        ),
    ),
    "meso-transformer": Trained(
        summary=(
            "MesoInception-4, four times as wide, beside a small network over the spectrum of each frame, a "
            "Transformer over the frames of a clip, one logit: positive means fake."
        ),
        sources=USED,
        started_from=DISTILLED,
        chosen_by=CHOSEN,
        limits=(
            "It is a small network that started from random weights, and knows much less than mobilenet-gru. To meet "
            'its targets it says "Not sure" nearly always: it is here to be studied and improved.',
            "Its teacher was mobilenet-gru of revision 0fff3b5b3dec, which had not seen reconstructed fakes.",
            MOSTLY_BLENDED,
        ),
    ),
    "resnext-lstm": Trained(
        summary="ResNeXt50 on each frame, two layers of a bidirectional LSTM over a clip, one logit.",
        sources=USED,
        started_from=DISTILLED,
        chosen_by=CHOSEN,
        limits=("At 112 px and three epochs from random weights it is far behind mobilenet-gru.", MOSTLY_BLENDED),
    ),
}
