"""Read the tags of a file for what they say of its origin. Anybody can change them. Pure."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from unmask.provenance_text import Made, made_of
from unmask.report import MetadataReport
from unmask.video.embedded import EDIT_LIST


class Signature(NamedTuple):
    """A tag that a generator leaves."""

    tag: str
    value: re.Pattern[str]
    made: Made | None
    note: str


CAMERA_TAGS = (  # make, model
    # developer.apple.com/documentation/quicktime-file-format/quicktime_metadata_keys
    ("com.apple.quicktime.make", "com.apple.quicktime.model"),
    # android.googlesource.com/platform/frameworks/av, media/libstagefright/MPEG4Writer.cpp
    ("com.android.manufacturer", "com.android.model"),
    ("make", "model"),  # ffmpeg.org/doxygen/trunk/movenc_8c_source.html
)
SOFTWARE_TAGS = ("xmp:creatortool", "com.apple.quicktime.software", "software", "encoder", "encoding_tool")
TIME_TAGS = ("com.apple.quicktime.creationdate", "creation_time")
COMFYUI_WORKFLOW = re.compile(r'\{\s*"[^"]{1,40}"\s*:\s*\{\s*"(inputs|class_type)"')
SIGNATURES = (
    # GB 45438-2025, annex E: generators that serve China must write it; 1: generated, 2 and 3: perhaps
    Signature("aigc", re.compile(r'"Label"\s*:\s*"?1'), "ai", "A label after GB 45438-2025 says: made with AI."),
    Signature(
        "aigc", re.compile(r'"Label"\s*:\s*"?[23]'), None, "A label after GB 45438-2025 says: perhaps made with AI."
    ),
    # github.com/Comfy-Org/ComfyUI, comfy_extras/nodes_video.py
    Signature("prompt", COMFYUI_WORKFLOW, "ai", "A workflow of ComfyUI, a generator, lies in it."),
)
ANYBODY = "Anybody can change these tags."


def read_metadata(tags: Mapping[str, str]) -> MetadataReport:
    """Read a file's tags, by name in lower case."""
    cameras = [" ".join(tags[name] for name in pair if tags.get(name)) for pair in CAMERA_TAGS]
    camera = next(filter(None, cameras), None)
    software, created_at = (
        next((tags[name] for name in names if tags.get(name)), None) for names in (SOFTWARE_TAGS, TIME_TAGS)
    )
    source_types = [tags["xmp:digitalsourcetype"]] if "xmp:digitalsourcetype" in tags else []
    found = [each for each in SIGNATURES if each.value.search(tags.get(each.tag, ""))]
    notes = [each.note for each in found]
    if hidden := tags.get(EDIT_LIST):
        notes.append(f"It holds {hidden} seconds that a player leaves out, by its edit list.")
    says_something = camera or software or created_at or source_types or notes
    return {
        "software": software,
        "camera": camera,
        "created_at": created_at,
        "source_types": source_types,
        "made": next((each.made for each in found if each.made), None) or made_of(source_types),
        "notes": [*notes, ANYBODY] if says_something else [],
    }
