"""Tags of a file -> what they say of its origin."""

import io
import json

import av
import pytest

from tests.media import make
from unmask.provenance.metadata import ANYBODY, read_metadata
from unmask.video.decode_client import probe
from unmask.video.embedded import find_embedded, read_tags

XMP = """<x:xmpmeta><rdf:Description xmp:CreatorTool="Adobe Premiere Pro 2026"
 Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
 dcterms:provenance="https://example.com/clip.c2pa"/></x:xmpmeta>"""


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({}, {"camera": None, "software": None, "made": None, "notes": []}),
        (
            {"com.apple.quicktime.make": "Apple", "com.apple.quicktime.model": "iPhone 17", "encoder": "HEVC"},
            {"camera": "Apple iPhone 17", "software": "HEVC", "notes": [ANYBODY]},
        ),
        ({"com.android.model": "Pixel 11", "creation_time": "2026-11-01T10:00:00Z"}, {"camera": "Pixel 11"}),
        ({"creation_time": "2026-11-01T10:00:00Z"}, {"created_at": "2026-11-01T10:00:00Z"}),
        ({"AIGC": '{"Label": "1", "ContentProducer": "001191"}'}, {"made": "ai"}),
        ({"aigc": '{"Label": "2"}'}, {"made": None}),
        ({"prompt": '{"3": {"inputs": {"seed": 5}, "class_type": "KSampler"}}'}, {"made": "ai"}),
        ({"prompt": "a reminder to buy milk"}, {"made": None}),
        ({"aigc_info": '{"aigc_label_type":2}'}, {"made": "ai", "notes": ["TikTok calls it made with AI.", ANYBODY]}),
        ({"aigc_info": '{"aigc_label_type":0}'}, {"made": None}),
        ({"comment": json.dumps({"prompt": json.dumps({"3": {"inputs": {"seed": 5}}})})}, {"made": "ai"}),
        ({"comment": json.dumps({"workflow": {"id": "0" * 36, "revision": 0, "last_node_id": 9}})}, {"made": "ai"}),
        ({"comment": json.dumps({"prompt": "a cat", "steps": "x" * 900, "type": "WanGP v9 by X"})}, {"made": "ai"}),
        ({"comment": json.dumps({"prompt": "buy milk", "type": "note"})}, {"made": None}),
        (
            {"LvMetaInfo": '{"source_type":"vicut"}'},
            {"made": None, "notes": ["CapCut or Jianying, video editors, exported it.", ANYBODY]},
        ),
        (
            {"encoding_tool": "HandBrake 1.9.2 2025022300"},
            {"software": "HandBrake 1.9.2 2025022300", "notes": ["HandBrake, a converter, wrote it.", ANYBODY]},
        ),
        (
            {"handler_name": "ISO Media file produced by Google Inc."},
            {"software": None, "notes": ["Servers of Google, as YouTube's, wrote it.", ANYBODY]},
        ),
        (
            {"xmp": XMP},
            {
                "made": "part_ai",
                "software": "Adobe Premiere Pro 2026",
                "source_types": ["compositeWithTrainedAlgorithmicMedia"],
            },
        ),
    ],
)
def test_what_tags_say(tags, found):
    read: dict[str, object] = {**read_metadata(dict(read_tags(tags)))}
    assert {name: read[name] for name in found} == found


def test_tags_of_a_file_come_through_short_and_on_one_line(media, tmp_path):
    path = tmp_path / "tagged.mkv"
    with av.open(str(make("h264.mp4", tmp_path))) as source, av.open(str(path), "w") as sink:
        sink.metadata.update({"make": "Ex\x1b[31mample\nLtd", "model": "long " * 9000, "artist": "not kept"})
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    tags = dict(probe(path).tags)
    assert tags["make"] == "Ex[31mample Ltd"
    assert len(tags["model"]) == 200
    assert "artist" not in tags


@pytest.mark.parametrize(("ticks", "notes"), [(1000, ["It holds 5.1 seconds"]), (5700, []), (0, [])])
def test_what_an_edit_list_leaves_out_is_said_where_it_is_more_than_an_encoder_needs(tmp_path, ticks, notes):
    data = bytearray(make("trimmed.mp4", tmp_path).read_bytes())
    place = data.index(b"elst") + 12
    data[place : place + 4] = ticks.to_bytes(4, "big")
    found = find_embedded(io.BytesIO(data))
    said = read_metadata(dict(found.tags))["notes"]
    assert [note[:20] for note in said if note != ANYBODY] == notes
