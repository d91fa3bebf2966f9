"""Draw a sheet of training examples: faces as they are, blended, and augmented.

    python -m training.tools.preview_sheet PICTURE… --out sheet.jpg

Each row is one face: the crop, self-blended fakes of it with what they changed, a cross-blended one with the
next picture's face, and the crop after augmentation.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from training.data.augment import AugmentSpec, augment
from training.synthesis import landmarks, self_blend
from unmask.faces.clips import ClipSpec, crop_square, square_boxes
from unmask.faces.detector import FaceFinder
from unmask.video.decode import Frames

SIDE_PX = 160
BLENDED, AUGMENTED = 3, 3
GAIN = 4  # by which a difference is made visible


def main() -> None:
    """Draw the sheet of the pictures that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+", help="photographs, one face in each")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    finder = FaceFinder()
    sheet = make_sheet([face_of(path, finder) for path in arguments.pictures])
    cv2.imwrite(str(arguments.out), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def face_of(path: Path, finder: FaceFinder) -> self_blend.Image:
    """Crop the first face of a picture, as for the models. Raises ValueError when there is none."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError(f"{path.name} is not a picture")
    found = finder.detect(Frames(np.asarray(image[None], np.uint8), np.zeros(1)))[0]
    if not len(found):
        raise ValueError(f"{path.name}: no face found")
    return crop_square(image, square_boxes(found.xyxy[:1], ClipSpec())[0], SIDE_PX)


def make_sheet(faces: list[self_blend.Image]) -> self_blend.Image:
    """Make a row for each crop (S, S, 3)."""
    meshes = [landmarks.find(face) for face in faces]
    rng = np.random.default_rng(0)
    rows = []
    for index, (face, points) in enumerate(zip(faces, meshes, strict=True)):
        fakes = [self_blend.self_blend(face, points, rng) for _ in range(BLENDED)]
        other = (index + 1) % len(faces)
        if other != index:
            fakes.append(self_blend.cross_blend(face, points, faces[other], meshes[other], rng))
        changed = [with_difference(face, fake) for fake in fakes]
        web = [augment(face[None], SIDE_PX, AugmentSpec(), rng)[0] for _ in range(AUGMENTED)]
        rows.append(np.hstack([face, *changed, *web]))
    return np.vstack(rows)


def with_difference(face: self_blend.Image, fake: self_blend.Image) -> self_blend.Image:
    """Put the fake and its difference from the real crop side by side."""
    apart = np.abs(fake.astype(np.int16) - face) * GAIN
    return np.hstack([fake, np.clip(apart, 0, 255).astype(np.uint8)])


if __name__ == "__main__":
    main()
