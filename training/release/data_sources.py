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


@dataclass(frozen=True)
class Published:
    """What the card says of weights that others trained."""

    summary: str  # the architecture in a sentence
    authors: str
    paper: str
    code: str
    training: str  # as they state it
    figures: str  # as they state them
    limits: tuple[str, ...]


PUBLISHED = {  # by the layout of training/adopt.py
    "gend": Published(
        summary="A vision tower on each frame, a linear layer on its features, the mean over the frames of a clip.",
        authors="Andrii Yermakov, Jan Cech, Jiri Matas, Mario Fritz",
        paper="Deepfake Detection that Generalizes Across Benchmarks, WACV 2026, https://arxiv.org/abs/2508.06248",
        code="https://github.com/yermandy/GenD",
        training=(
            "The layer norms of a pretrained tower and a linear layer, tuned on FaceForensics++ with cross-entropy "
            "and, in some variants, alignment and uniformity losses on features of length 1."
        ),
        figures="The best average cross-dataset AUC of the methods compared, over 14 benchmarks of 2019 to 2025.",
        limits=(
            "The paper's figures are of whole videos of 32 frames, with faces and landmarks found by RetinaFace. Here "
            "MTCNN finds them, and faces are turned and cut by the landmarks as theirs are: what the difference costs "
            "was not measured.",
        ),
    )
}

SOURCES = {
    "dfdc": DataSource("DFDC", "Dolhansky et al., 2020", "research, non-commercial", "dfdc"),
    "ffhq": DataSource("FFHQ", "Karras et al., 2019", "CC BY-NC-SA 4.0: non-commercial", "ffhq"),
    "talking": DataSource("Clips of people talking", "provenance not stated", "terms not stated"),
    "ytfaces": DataSource("YouTube Faces", "Wolf et al., 2011", "research"),
    "utkface": DataSource("UTKFace", "Zhang et al., 2017", "research, non-commercial"),
    "pages": DataSource("Result pages of generators", "their authors' pages", "as each page says; research"),
}

USED = {
    "dfdc": "22,000 face crops of the training set, half real, half fake, and ten of its videos",
    "ffhq": "599 photographs, as real faces for blending",
    "talking": "eight short clips, presumed real; eight more were only looked at",
}
EVERY_DOMAIN = USED | {
    "dfdc": USED["dfdc"] + "; then 4,500 real and 13,461 fake crops",
    "ytfaces": "4,579 frames of 305 people of television and YouTube, as real faces",
    "utkface": "4,698 photographs, as real faces",
    "pages": (
        "732 clips by 111 methods (talking heads, re-enactment, lip-sync, swaps, generated video) and 175 real clips "
        "of the same pages, 4 frames each"
    ),
}
CHOSEN = (
    "The epoch, the calibration and the thresholds were chosen on the DFDC validation split and on blended fakes of "
    "its people. Actors of DFDC appear on both sides of that split, so numbers on it are optimistic."
)
FOUR_DOMAINS = (
    " were chosen on the validation splits of four domains: DFDC (whose actors are on both sides of its split, so "
    "numbers on it are optimistic), clips of generators' pages with their reals, YouTube Faces, and UTKFace."
)
DISTILLED = "random weights; half of its target was the probability that mobilenet-gru gives (knowledge distillation)"
MOSTLY_BLENDED = (
    "About 60 % of its training fakes are blended from real faces (Shiohara & Yamasaki, CVPR 2022), and most clips are "
    "made of single frames: it has seen few fakes that move."
)

TRAINED: dict[str, Trained] = {
    "mobilenet-gru": Trained(
        summary="MobileNetV2 on each frame, a GRU over the frames of a clip, one logit: positive means fake.",
        sources=EVERY_DOMAIN,
        started_from="torchvision's ImageNet weights (the backbone)",
        chosen_by="The share of the interpolated weights, the calibration and the thresholds" + FOUR_DOMAINS,
        limits=(
            "The first stage, at 160 px, was trained in three runs of 3, 2 and 5 epochs; the first `frames` command of "
            "the script takes their place.",
            "It hardly knows generated videos, which have no border of a paste. On 117 clips by methods that it was "
            "trained on, of other people, it ranks fakes with an AUC of 0.804 (0.71-0.89); on 49 clips of generators "
            "that it never saw, with 0.420 (0.29-0.64): worse than chance, as it takes those by SadTalker and those "
            'sharpened by super-resolution for real. It told 8 of these 49 "No sign of a deepfake", and none fake; of '
            "the evidence that leans on them and on 71 real clips beside them, half leans the wrong way.",
            "The last `longer` command of the script was stopped after 895 of its 1,118 batches.",
            "Most videos get no answer: few are as far from every face of the other kind as the targets ask.",
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
        summary="ResNeXt50 on each frame, two layers of a bidirectional LSTM over a clip, one logit: positive is fake.",
        sources=EVERY_DOMAIN,
        started_from=(
            "the blocks of mobilenet-gru (revision 327ec48c8dff), which was its teacher: its maps, vectors and "
            "probabilities, beside the labels"
        ),
        chosen_by="The calibration and the thresholds" + FOUR_DOMAINS,
        limits=(
            "It has learned from mobilenet-gru, knows little that its teacher does not, and is mistaken where that is: "
            "above all on clips of generators that neither saw.",
            "Its first stage was trained on parts of 19,200 pairs of faces, all stages on parts (160 of 224 px) of "
            "14,400; the losses were still falling.",
            "Some of its fakes were heads reconstructed by autoencoders, which the script leaves out.",
            "Its weights have 8 bits; no temporal training of its own: the LSTM answers as its teacher's GRU does.",
        ),
    ),
}
