"""The constants that the extension shares with Python, written as a JavaScript module.

python -m training.release.extension_constants        # writes extension/shared/constants.js anew
"""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from unmask import pipeline, report, verdict, verdict_text
from unmask.download import web_address
from unmask.faces import appearance, boxes, clips, detector, exclusion, shots, subjects, tracking, upright
from unmask.models import saliency
from unmask.video import captured_frames, sampling

FILE = Path(__file__).resolve().parents[2] / "extension" / "shared" / "constants.js"
HEADER = "// Written by `python -m training.release.extension_constants` from the Python constants; do not edit."


def constants() -> dict[str, Any]:
    """Collect the constants by what they are for."""
    rules, plan, policy = exclusion.FaceRules(), sampling.DecodePlan(), verdict.Policy()
    return {
        "face_detector": {
            **_named(detector, "SEARCH_SIDE_PX MIN_FACE_PX MIN_FULL_FACE_PX PNET_CELL_PX PNET_STRIDE_PX PYRAMID_SCALE"),
            **_named(detector, "MIN_SCORE LEVEL_NMS_IOU PNET_NMS_IOU RNET_NMS_IOU ONET_NMS_OVERLAP MAX_PROPOSALS"),
            **_named(detector, "ON_FACE_MIN_IOU BOXES_PER_FACE FRAMES_PER_GROUP"),
            "MATCH_MIN_IOU": boxes.MATCH_MIN_IOU,
            "PATCHES_PER_BATCH": detector.PATCHES_PER_BATCH["cpu"],
        },
        "tracking": {
            **_named(tracking, "MAX_GAP_FRAMES MAX_STEP_SIDES MAX_SIZE_RATIO"),
            **_named(exclusion, "SHARPNESS_SIDE_PX CROP_SHARPNESS_SIDE_PX"),
            "MIN_SIDE_PX": rules.min_side_px,
            "MIN_SHARPNESS": rules.min_sharpness,
            "MIN_FRAMES": rules.min_frames,
        },
        "upright": _named(upright, "QUARTER_TURNS MAX_TRIES"),
        "shots": _named(shots, "THUMBNAIL_PX CUT SAME_SETTING"),
        "appearance": {
            **_named(appearance, "SIDE_PX CELLS DIRECTIONS COLOUR_WEIGHT"),
            "LANDMARKS_PX": appearance.LANDMARKS_PX.tolist(),
            "RGB_TO_XYZ": appearance.RGB_TO_XYZ.tolist(),
        },
        "sampling": {
            "WINDOWS": plan.windows,
            "FRAMES_PER_WINDOW": plan.frames_per_window,
            "FRAME_STRIDE_SECONDS": plan.frame_stride_seconds,
            "CLOSE_STRIDES": sampling.CLOSE_STRIDES,
            **_named(captured_frames, "GAP_STRIDES GAP_STEPS"),
        },
        "pipeline": {
            "MAX_LOG_ODDS": verdict.MAX_LOG_ODDS,
            **_named(subjects, "MAX_SUBJECTS SAME_PERSON CLEAR_SIMILARITY OTHER_PERSON FRONTAL MAX_BOXES"),
            "FEW_FRAMES": pipeline.FEW_FRAMES,
            "RECOMPRESSION_JPEG_QUALITY": clips.RECOMPRESSION_JPEG_QUALITY,
            "SHOWN_JPEG_QUALITY": saliency.JPEG_QUALITY,
        },
        "saliency": _named(saliency, "BLUR_SHARE GLOW_FROM GLOW_OPACITY OUTLINE_FROM"),
        "report": {
            "SCHEMA": report.SCHEMA,
            "BAND": [policy.real_below, policy.fake_above],
            "REASONS": list(verdict_text.REASONS),
        },
        "TRACKING_PARAMETERS": web_address.TRACKING,
    }


def _named(module: ModuleType, names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names.split()}


def to_module() -> str:
    """Write the constants as an ES module, which pages may import without a fetch."""
    literal = json.dumps(constants(), indent=2)
    return f"{HEADER}\n// prettier-ignore\nexport default /** @type {{const}} */ ({literal});\n"


if __name__ == "__main__":
    FILE.write_text(to_module(), encoding="utf-8")
    print(FILE)
