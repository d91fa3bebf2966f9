"""HTML of the page around a report, whose own parts come from `unmask.render.html`. Pure functions."""

import base64
import json
from html import escape
from pathlib import Path

from unmask.render.html import to_html
from unmask.report import CheckReport
from unmask.service.jobs import JobState

STAGES = {  # stage -> text, in the order of a check
    "fetch": "Getting the video",
    "decode": "Picking moments",
    "faces": "Looking at faces",
    "model": "Judging",
    "explain": "Showing what mattered",
}
EXAMPLES = {  # file in the folder of examples -> caption
    "photograph": "A photograph that moves",
    "blended-face": "The same, with a blended face",
    "no-face": "No face in sight",
}

HEAD = """
<header class="um-head">
<svg viewBox="0 0 48 48" width="44" height="44" fill="none" stroke="currentColor" stroke-width="3.4"
 stroke-linecap="round" aria-hidden="true">
<path d="M24 6c9 0 15 6 15 15 0 11-7 21-15 21"/>
<path d="M24 6C15 6 9 12 9 21c0 11 7 21 15 21" stroke-dasharray=".1 6.3"/>
<path d="M15.5 21.5h5M27.5 21.5h5M19 32c3 2.4 7 2.4 10 0"/>
</svg>
<div><h1>Unmask</h1>
<p>Looks for signs of a deepfake in the faces of a video, and says so when it is not sure.</p></div>
</header>
"""

EMPTY = """
<div class="um-empty"><p>The answer appears here: a label in words, how strong the evidence is,
who and when to look at, and what the check could not see.</p></div>
"""

NO_VIDEO = """
<p class="um-note">The video could not be shown here. The answer does not depend on it.</p>
"""

PRIVACY = """
<p class="um-privacy">Your video is used for this check only. An uploaded file, and what you see here, is
deleted after 30 minutes; a video from a link as soon as the answer is ready. No analytics, no third
parties.</p>
"""


OTHER_MODEL = "The model chosen for this service could not be loaded; the bundled one answers in its place."


def notice_html(notice: str) -> str:
    """Show a notice of the owner."""
    return f'<p class="um-note">{escape(notice)}</p>' if notice else ""


def state_html(state: JobState) -> str:
    """Show a job that waits or runs."""
    if state.position:
        ahead = state.position - 1
        others = "one check is" if ahead == 1 else f"{ahead} checks are"
        return progress_html("queued", 0.0, f"In the queue: {others} ahead of yours" if ahead else "Starting")
    return progress_html(state.stage, state.fraction, state.text)


def progress_html(stage: str, fraction: float, text: str) -> str:
    """Show the steps with the current one marked, a bar, and what happens now."""
    names = list(STAGES)
    current = names.index(stage) if stage in names else -1 if stage == "queued" else len(names)
    steps = "".join(_step(name, index - current) for index, name in enumerate(names))
    percent = round(100 * min(max(fraction, 0.0), 1.0))
    return (
        f'<div class="um-progress" data-stage="{escape(stage)}"><ol class="um-steps">{steps}</ol>'
        '<div class="um-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"'
        f' aria-valuenow="{percent}"><span style="width:{percent}%"></span></div>'
        f'<p role="status">{escape(text)}</p></div>'
    )


def _step(name: str, offset: int) -> str:
    """Show a step that comes `offset` steps after the current one."""
    if offset == 0:
        return f'<li class="now" aria-current="step">{STAGES[name]}</li>'
    return f'<li class="{"done" if offset < 0 else "todo"}">{STAGES[name]}</li>'


def seekable(piece: str, report: CheckReport) -> str:
    """Wrap a part of a report with `data-seconds`, to which the page's script seeks in the player.

    Times are those of the whole video; of a link, perhaps only a part was fetched and is played.
    """
    offset = report["coverage"]["offset_seconds"] or 0.0
    return piece and f'<div data-offset="{offset}">{piece}</div>'


def save_links(report: CheckReport) -> str:
    """Link to the report as data URLs, so that nothing is stored for the download."""
    as_json = json.dumps(report, indent=1, ensure_ascii=False)
    return (
        '<div class="um-saving">'
        + _save_link("Save the report (HTML)", "unmask-report.html", "text/html", to_html(report))
        + _save_link("Save the data (JSON)", "unmask-report.json", "application/json", as_json)
        + "</div>"
    )


def _save_link(text: str, name: str, kind: str, content: str) -> str:
    data = base64.b64encode(content.encode()).decode()
    return f'<a class="um-save" download="{name}" href="data:{kind};base64,{data}">{text}</a>'


def example_cards(folder: Path) -> str:
    """Show a button for each example; the page's script reports which was pressed."""
    cards = (
        f'<button type="button" class="um-example" data-example="{name}">'
        f'<img alt="" src="{_picture(folder / f"{name}.jpg")}"><span>{caption}</span></button>'
        for name, caption in EXAMPLES.items()
    )
    return f'<p class="um-label">Or try an example</p><div class="um-examples">{"".join(cards)}</div>'


def _picture(path: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
