"""Read the tags of a file for what they say of its origin. Anybody can change them. Pure."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from unmask.provenance_text import Made, made_of
from unmask.report import MetadataReport
from unmask.video.embedded import EDIT_LIST, SETTINGS


class TagRule(NamedTuple):
    """What a program or a site leaves in one of some tags."""

    tags: tuple[str, ...]
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
COMFYUI = "A workflow of ComfyUI, a generator, lies in it."
WORKFLOW = re.compile(r'\{\s*"[^"]{1,40}"\s*:\s*\{\s*"(inputs|class_type)"')
COMMENTED_WORKFLOW = re.compile(
    r'^\{\s*"(prompt|workflow)"\s*:\s*"?\{.{0,90}?"?(inputs|class_type|last_node_id|nodes)\b'
)
TAG_RULES = (
    # GB 45438-2025, annex E: generators that serve China must write it; 1: generated, 2 and 3: perhaps
    TagRule(("aigc",), re.compile(r'"Label"\s*:\s*"?1'), "ai", "A label after GB 45438-2025 says: made with AI."),
    TagRule(
        ("aigc",), re.compile(r'"Label"\s*:\s*"?[23]'), None, "A label after GB 45438-2025 says: perhaps made with AI."
    ),
    # in files that TikTok hands out, with the numbers of its pages (see site_labels.py)
    TagRule(
        ("aigc_info",),
        re.compile(r'label_type"\s*:\s*"?1\b'),
        "ai",
        "TikTok: its creator says that it is made with AI.",
    ),
    TagRule(("aigc_info",), re.compile(r'label_type"\s*:\s*"?2\b'), "ai", "TikTok calls it made with AI."),
    # github.com/Comfy-Org/ComfyUI, comfy_extras/nodes_video.py
    TagRule(("prompt",), WORKFLOW, "ai", COMFYUI),
    # github.com/Kosinkadink/ComfyUI-VideoHelperSuite, videohelpersuite/nodes.py
    TagRule(("comment",), COMMENTED_WORKFLOW, "ai", COMFYUI),
    # github.com/deepbeepmeep/Wan2GP, shared/utils/video_metadata.py
    TagRule((SETTINGS,), re.compile("^WanGP"), "ai", "Settings of WanGP, a generator, lie in it."),
    # a dump of a file: github.com/arjendevos/create-unique-videos, readme.md
    TagRule(("lvmetainfo",), re.compile("."), None, "CapCut or Jianying, video editors, exported it."),
    # developer.adobe.com/xmp/docs/XMPNamespaces/xmp: CreatorTool
    TagRule(
        SOFTWARE_TAGS, re.compile("Adobe (Premiere|After Effects|Media Enc)"), None, "An editor of Adobe wrote it."
    ),
    # a dump of a file by ffprobe: "encoder: Blackmagic Design DaVinci Resolve Studio"
    TagRule(SOFTWARE_TAGS, re.compile("DaVinci Resolve"), None, "DaVinci Resolve, a video editor, wrote it."),
    # github.com/HandBrake/HandBrake, libhb/muxavformat.c
    TagRule(SOFTWARE_TAGS, re.compile("^HandBrake"), None, "HandBrake, a converter, wrote it."),
    # ffmpeg.org/doxygen/trunk/movenc_8c_source.html
    TagRule(
        SOFTWARE_TAGS, re.compile("^Lavf"), None, "FFmpeg wrote it, as many editors, generators and sites have it do."
    ),
    # dumps of what youtube.com serves, such as github.com/ytdl-org/youtube-dl/issues
    TagRule(("handler_name",), re.compile("produced by Google"), None, "Servers of Google, as YouTube's, wrote it."),
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
    found = [each for each in TAG_RULES if any(each.value.search(tags.get(name, "")) for name in each.tags)]
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
