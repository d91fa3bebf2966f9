"""Unmask: is the face in this video a deepfake? An honest label, with where to look and how sure.

    from unmask import Checker

    report = Checker().check("clip.mp4")

The names below are imported at first use, so that `import unmask` and `--help` take no time.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Read when torch is loaded: its threads sleep while they wait for each other. They would spin, and where one
# of them is kept from its core by another program, or another check, a check takes up to eight times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Read when ONNX Runtime is loaded: otherwise it keeps a file about its use and reports it to its makers.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from unmask.download.sources import FileSource, FramesSource, Options, UrlSource
    from unmask.errors import UnmaskError
    from unmask.limits import Limits
    from unmask.pipeline import Checker
    from unmask.render.html import to_html
    from unmask.report import Report
    from unmask.service.jobs import Jobs, JobState
    from unmask.video.sampling import Span

__all__ = [
    "Checker",
    "FileSource",
    "FramesSource",
    "JobState",
    "Jobs",
    "Limits",
    "Options",
    "Report",
    "Span",
    "UnmaskError",
    "UrlSource",
    "to_html",
]

_MODULES = {
    "Checker": "pipeline",
    "FileSource": "download.sources",
    "FramesSource": "download.sources",
    "JobState": "service.jobs",
    "Jobs": "service.jobs",
    "Limits": "limits",
    "Options": "download.sources",
    "Report": "report",
    "Span": "video.sampling",
    "UnmaskError": "errors",
    "UrlSource": "download.sources",
    "to_html": "render.html",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
