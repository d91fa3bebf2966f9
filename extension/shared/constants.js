// Written by `python -m training.release.extension_constants` from the Python constants; do not edit.
// prettier-ignore
export default /** @type {const} */ ({
  "face_detector": {
    "SEARCH_SIDE_PX": 640,
    "MIN_FACE_PX": 24,
    "MIN_FULL_FACE_PX": 36,
    "PNET_CELL_PX": 12,
    "PNET_STRIDE_PX": 2,
    "PYRAMID_SCALE": 0.709,
    "MIN_SCORE": [
      0.6,
      0.7,
      0.9
    ],
    "LEVEL_NMS_IOU": 0.5,
    "PNET_NMS_IOU": 0.7,
    "RNET_NMS_IOU": 0.9,
    "ONET_NMS_OVERLAP": 0.7,
    "MAX_PROPOSALS": 300,
    "ON_FACE_MIN_IOU": 0.5,
    "BOXES_PER_FACE": 6,
    "FRAMES_PER_GROUP": 8,
    "MATCH_MIN_IOU": 0.3,
    "PATCHES_PER_BATCH": 64
  },
  "tracking": {
    "MAX_GAP_FRAMES": 2,
    "MAX_STEP_SIDES": 1.0,
    "MAX_SIZE_RATIO": 1.6,
    "SHARPNESS_SIDE_PX": 64,
    "CROP_SHARPNESS_SIDE_PX": 128,
    "MIN_SIDE_PX": 48.0,
    "MIN_SHARPNESS": 0.045,
    "MIN_FRAMES": 3
  },
  "upright": {
    "QUARTER_TURNS": [
      2,
      1,
      3
    ],
    "MAX_TRIES": 3
  },
  "shots": {
    "THUMBNAIL_PX": 32,
    "CUT": 0.5,
    "SAME_SETTING": 0.8
  },
  "appearance": {
    "SIDE_PX": 64,
    "CELLS": 8,
    "DIRECTIONS": 8,
    "COLOUR_WEIGHT": 3.0,
    "LANDMARKS_PX": [
      [
        22.0,
        26.0
      ],
      [
        42.0,
        26.0
      ],
      [
        32.0,
        36.0
      ],
      [
        24.0,
        45.0
      ],
      [
        40.0,
        45.0
      ]
    ],
    "RGB_TO_XYZ": [
      [
        0.4339529871940613,
        0.3762190043926239,
        0.18982799351215363
      ],
      [
        0.21267099678516388,
        0.7151600122451782,
        0.0721689984202385
      ],
      [
        0.017758000642061234,
        0.10947699844837189,
        0.8727660179138184
      ]
    ]
  },
  "sampling": {
    "WINDOWS": 8,
    "FRAMES_PER_WINDOW": 8,
    "FRAME_STRIDE_SECONDS": 0.12,
    "CLOSE_STRIDES": 0.75,
    "GAP_STRIDES": 4.0,
    "GAP_STEPS": 2.5
  },
  "pipeline": {
    "MAX_LOG_ODDS": 6.9,
    "MAX_SUBJECTS": 12,
    "SAME_PERSON": 0.6,
    "CLEAR_SIMILARITY": 0.1,
    "OTHER_PERSON": 0.2,
    "FRONTAL": 0.2,
    "MAX_BOXES": 64,
    "FEW_FRAMES": 16,
    "RECOMPRESSION_JPEG_QUALITY": 70,
    "SHOWN_JPEG_QUALITY": 88
  },
  "saliency": {
    "BLUR_SHARE": 0.03125,
    "GLOW_FROM": 0.3,
    "GLOW_OPACITY": 0.6,
    "OUTLINE_FROM": 0.6
  },
  "report": {
    "SCHEMA": "unmask.report/1",
    "BAND": [
      0.35,
      0.75
    ],
    "REASONS": [
      "score_high",
      "score_low",
      "score_between",
      "too_few_frames",
      "too_blurred",
      "models_disagree",
      "mixed_over_time",
      "unstable",
      "several_people",
      "no_face",
      "face_too_small",
      "face_too_blurred",
      "face_too_brief"
    ]
  },
  "TRACKING_PARAMETERS": [
    "utm_*",
    "__cft__*",
    "__tn__",
    "_hsenc",
    "_hsmi",
    "cmpid",
    "dclid",
    "fbclid",
    "gbraid",
    "gclid",
    "igsh",
    "igshid",
    "mc_cid",
    "mc_eid",
    "mibextid",
    "msclkid",
    "ref_src",
    "ref_url",
    "share_id",
    "ttclid",
    "twclid",
    "wbraid",
    "yclid"
  ]
});
