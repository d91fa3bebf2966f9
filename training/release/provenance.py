"""What the models were trained on, under which terms, and what others' detectors gave. Plain data.

Whoever trains a model writes its entry of TRAINED here: `training.release.card` refuses a model that has none, and
`training.tools.reproduce` makes the model again by it, shipped or not.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSource:
    name: str
    citation: str
    terms: str


@dataclass(frozen=True)
class Trained:
    """One model's training, for its card."""

    summary: str  # the architecture in a sentence
    sources: dict[str, str]  # key of SOURCES: what of it was used
    started_from: str
    chosen_by: str  # how the epoch, the calibration and the thresholds were chosen
    commands: tuple[str, ...]  # that make it again
    limits: tuple[str, ...]  # that no number shows


@dataclass(frozen=True)
class Peer:
    """Video AUC of another detector on the people of the same sets, as its measurer gave it."""

    name: str
    auc: dict[str, str]  # by folder of the set: "0.63 (0.5–0.7)"


SOURCES = {
    "dfdc": DataSource("DFDC", "Dolhansky et al., 2020", "research, non-commercial"),
    "ffhq": DataSource("FFHQ", "Karras et al., 2019", "CC BY-NC-SA 4.0: non-commercial"),
    "talking": DataSource("Clips of people talking", "provenance not stated", "terms not stated"),
    "imagenet": DataSource("ImageNet", "Deng et al., 2009", "research, non-commercial"),
}

PREPARE = (
    "python -m training.prepare --data photos=FFHQ --split train --out ffhq",
    "python -m training.prepare --data auto=TALKING --split alternate --windows 4 --out talking",
    "python -m training.prepare --data auto=DFDC_VIDEOS --split train --windows 4 --out dfdc",
)
USED = {
    "dfdc": "22,000 face crops of the training set, half real, half fake, and ten of its videos",
    "ffhq": "599 photographs, as real faces for blending",
    "talking": "eight short clips, presumed real; eight more were only looked at",
}
CHOSEN = (
    "The epoch, the calibration and the thresholds were chosen on the DFDC validation split and on "
    "blended fakes of its people. Actors of DFDC appear on both sides of that split, so it flatters."
)
TAUGHT = "--teacher mobilenet-gru --data DFDC_FACES --data ffhq"
MOSTLY_BLENDED = (
    "About 60 % of the fakes it learned from are blended from real faces (Shiohara & Yamasaki, CVPR "
    "2022), and most clips are made of single faces: it has seen few fakes that move."
)

TRAINED: dict[str, Trained] = {
    "mobilenet-gru": Trained(
        summary="MobileNetV2 on each frame, a GRU over the frames of a clip, one logit: positive means fake.",
        sources=USED,
        started_from="torchvision's ImageNet weights (the backbone)",
        chosen_by=CHOSEN,
        commands=(
            *PREPARE,
            (
                "python -m training.train mobilenet-gru frames --side 160 --epochs 10 --data DFDC_FACES "
                "--data ffhq --out small"
            ),
            (
                "python -m training.train mobilenet-gru frames --start small --epochs 8 --data DFDC_FACES "
                "--data ffhq --out frames"
            ),
            "python -m training.fit.train_autoencoder --data DFDC_FACES --data ffhq --out painters",
            (
                "python -m training.train mobilenet-gru frames --start frames --painters painters "
                "--epochs 2 --learning-rate 2e-4 --data DFDC_FACES --data ffhq --out redrawn"
            ),
            (
                "python -m training.train mobilenet-gru clips --painters painters --data DFDC_FACES "
                "--data ffhq --data talking=8 --data dfdc=2 --start redrawn --out clips --limit 600"
            ),
            "python -m training.calibrate --run clips --data DFDC_FACES --limit 900 --out mobilenet-gru",
        ),
        limits=(
            "The single faces were learned at 160 px in three runs, of 3, 2 and 5 epochs, as "
            "training/RESULTS.md says, of which the first of the `frames` commands takes the place, then for "
            "8 epochs at 224 px, as the second does it, and then beside redrawn fakes.",
            "Of eight clips of ordinary people that were held back the highest got 0.71, of the eight it "
            "was trained on one got 0.93 and one 0.88 (none is called fake), and of 20 real videos of "
            "FaceForensics++ at the strongest compression two got 0.91: such faces are few in the training "
            "set. The thresholds leave room for them, at the price of many answers.",
            "Blur looks like manipulation to it: a face whose crops are less sharp than a fitted threshold "
            "gets no answer, and few do that were stored four times smaller.",
            MOSTLY_BLENDED,
        ),
    ),
    "meso-transformer": Trained(
        summary=(
            "MesoInception-4, four times as wide, beside a small network over the spectrum of each frame, a "
            "Transformer over the frames of a clip, one logit: positive means fake."
        ),
        sources=USED,
        started_from="nothing; half of its lesson was what mobilenet-gru makes of each face",
        chosen_by=CHOSEN,
        commands=(
            *PREPARE,
            (f"python -m training.train meso-transformer frames --scratch --side 112 --epochs 5 {TAUGHT} --out small"),
            (
                "python -m training.train meso-transformer frames --start small --epochs 4 "
                f"--learning-rate 1e-3 {TAUGHT} --out frames"
            ),
            (
                "python -m training.train meso-transformer frames --start frames --epochs 5 "
                f"--learning-rate 1e-3 {TAUGHT} --out longer"
            ),
            (
                "python -m training.train meso-transformer clips --data DFDC_FACES --data ffhq "
                "--data talking=8 --data dfdc=2 --start longer --out clips --limit 600"
            ),
            "python -m training.calibrate --run clips --data DFDC_FACES --limit 900 --out meso-transformer",
        ),
        limits=(
            "It is a small network that started from nothing, and knows much less than mobilenet-gru. So as "
            'to keep the promises it says "not sure" nearly always: it is here to be studied and improved.',
            "Its teacher was mobilenet-gru of revision 0fff3b5b3dec, which had not seen redrawn fakes.",
            MOSTLY_BLENDED,
        ),
    ),
    "resnext-lstm": Trained(
        summary="ResNeXt50 on each frame, two layers of a bidirectional LSTM over a clip, one logit.",
        sources=USED,
        started_from="nothing; half of its lesson was what mobilenet-gru makes of each face",
        chosen_by=CHOSEN,
        commands=(
            *PREPARE,
            (
                "python -m training.train resnext-lstm frames --scratch --side 112 --epochs 3 "
                f"--learning-rate 1e-3 {TAUGHT} --out frames"
            ),
            (
                "python -m training.train resnext-lstm clips --side 112 --epochs 1 --data DFDC_FACES "
                "--data ffhq --data talking=8 --data dfdc=2 --start frames --out clips --limit 600"
            ),
            "python -m training.calibrate --run clips --data DFDC_FACES --limit 200 --out resnext-lstm",
        ),
        limits=("At 112 px and three epochs from nothing it is far behind mobilenet-gru.", MOSTLY_BLENDED),
    ),
}

PEERS_NOTE = (
    "Numbers of others and of rough trials, measured apart from this evaluation: 12 frames a video, crops by "
    "MTCNN, the mean of the frames as the video's score, intervals by drawing videos, as they were given."
)
C23, C40 = "ffpp-c23-dev", "ffpp-c40-dev"
PEERS = (
    Peer("MesoInception-4, its authors' Deepfakes weights", {C40: "0.62 (0.47–0.75)"}),
    Peer("MesoInception-4, its authors' Face2Face weights", {C40: "0.54 (0.39–0.69)"}),
    Peer(
        "MobileNetV2, plain training on DFDC faces, 1 epoch",
        {C23: "0.64 (0.43–0.84)", C40: "0.67 (0.54–0.81)"},
    ),
    Peer("the same, self-blended fakes only, 2 epochs", {C23: "0.78 (0.61–0.92)", C40: "0.66 (0.51–0.81)"}),
    Peer(
        "the same, self-blended and DFDC fakes half and half, 2 epochs",
        {C23: "0.75 (0.59–0.89)", C40: "0.72 (0.59–0.86)"},
    ),
    Peer("the same at 224 px", {C23: "0.70 (0.52–0.87)", C40: "0.67 (0.51–0.81)"}),
)
