"""What the extension shares with Python: constants, and the fields of the report."""

import json
import subprocess
from typing import Any

from extension.pack import HERE
from training.release import extension_constants
from unmask import report

READ = """
import { readFileSync } from "node:fs";
import { parseReport } from "./shared/report.js";
console.log(JSON.stringify(parseReport(JSON.parse(readFileSync("../tests/assets/report.json", "utf8")))));
"""
MAKE = """
import { checkFrames } from "./on_device/pipeline.js";
const config = { name: "m", revision: "r", clip: {}, policy: {} };
console.log(JSON.stringify(await checkFrames({ windows: [], pageUrl: "", title: "" }, { config }, () => {})));
"""


def run(script: str) -> Any:
    command = ["node", "--input-type=module", "--eval", script]
    return json.loads(subprocess.run(command, cwd=HERE, capture_output=True, check=True).stdout)


def test_the_constants_of_the_extension_are_those_of_python():
    written = extension_constants.FILE.read_text(encoding="utf-8")
    assert written == extension_constants.to_module(), "python -m training.release.extension_constants"


def test_the_extension_reads_only_fields_that_a_report_has():
    read = run(READ)
    del read["signed"]  # all of it as a Space signed it
    parts = [
        (read, report.CheckReport),
        (read["source"], report.SourceReport),
        (read["verdict"], report.VerdictReport),
        (read["models"][0], report.ModelReport),
        (read["faces"][0], report.FaceReport),
        (read["timeline"][0], report.SpanReport),
        (read["provenance"], report.ProvenanceReport),
        (read["provenance"]["credentials"], report.CredentialsReport),
        (read["provenance"]["credentials"]["chain"][0], report.ManifestReport),
        (read["provenance"]["metadata"], report.MetadataReport),
        (read["provenance"]["site"], report.SiteReport),
        (read["compute"], report.ComputeReport),
        (read["coverage"], report.CoverageReport),
    ]
    for part, kind in parts:
        assert part and part.keys() <= kind.__annotations__.keys(), kind


def test_the_extension_writes_every_field_of_a_report():
    made = run(MAKE)
    parts: list[tuple[Any, Any]] = [
        (made, report.CheckReport),
        (made["source"], report.SourceReport),
        (made["verdict"], report.VerdictReport),
        (made["models"][0], report.ModelReport),
        (made["compute"], report.ComputeReport),
        (made["coverage"], report.CoverageReport),
    ]
    for part, kind in parts:
        assert part.keys() == kind.__required_keys__, kind
