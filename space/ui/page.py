"""The components of the page, and which handler each event calls."""

import functools
from pathlib import Path
from typing import Any

import gradio as gr

from ui.api import client_of, declare_api
from ui.gradio_compat import rest_when_idle, uploads_only
from ui.handlers import EXAMPLE_VIDEOS, Handlers, Panel
from ui.html import EMPTY, HEAD, PRIVACY, example_cards, notice_html
from unmask.models import bundled
from unmask.render import html
from unmask.service.endpoints import Endpoints
from unmask.service.jobs import Jobs
from unmask.service.settings import Settings
from unmask.video.file_format import BARE_SUFFIXES, PICTURE_SUFFIXES, VIDEO_SUFFIXES

SEND_EXAMPLE = """
element.addEventListener("click", (event) => {
  const card = event.target.closest("[data-example]");
  if (card) trigger("click", { example: card.dataset.example });
});
"""

EVENT_OPTIONS: dict[str, Any] = {  # of the page's own events
    "show_progress": "hidden",  # the status shows it
    "concurrency_limit": None,
    "trigger_mode": "multiple",
    "api_visibility": "private",
}


def build(settings: Settings, jobs: Jobs, uploads: Path) -> gr.Blocks:
    """Build the page and the API; `launch` serves them."""
    endpoints = Endpoints(settings, jobs, uploads)
    identify = functools.partial(client_of, settings.clients)
    with gr.Blocks(title="Unmask", analytics_enabled=False) as page:
        plain(HEAD + notice_html(settings.notice))
        with gr.Column(elem_classes="um-ask"):
            with gr.Tabs():
                with gr.Tab("Link"), gr.Row(elem_classes="um-line"):
                    url, check_link = link_box(), check_button("um-check-link")
                with gr.Tab("File"), gr.Row(elem_classes="um-line"):
                    file, check_upload = file_box(), check_button("um-check-file")
            options = option_boxes(settings)
        examples = plain(example_cards(EXAMPLE_VIDEOS), js_on_load=SEND_EXAMPLE, elem_id="um-examples")
        status = plain(EMPTY, elem_id="um-status")
        cancel = gr.Button("Cancel", size="sm", elem_id="um-cancel")
        panel = result_panel(status)
        plain(html.limits() + PRIVACY)
        declare_api(endpoints, identify)  # before the page's own events, which would take its names
        handlers, outputs = Handlers(endpoints, jobs, panel, identify), panel.outputs()
        gr.on([check_link.click, url.submit], handlers.check_link, [url, *options], outputs, **EVENT_OPTIONS)
        check_upload.click(handlers.check_upload, [file, *options], outputs, **EVENT_OPTIONS)
        examples.click(handlers.check_example, options[:1], outputs, **EVENT_OPTIONS)
        cancel.click(handlers.cancel, panel.job, None, **EVENT_OPTIONS)
        page.load(url_from_query, None, url, **EVENT_OPTIONS)
    rest_when_idle(page)
    return page


def url_from_query(request: gr.Request) -> Any:
    """Fill the box with the address in `?url=…`. Nothing is fetched before the button is pressed."""
    return request.query_params.get("url") or gr.skip()


def link_box() -> gr.Textbox:
    """Return the box for a link."""
    return gr.Textbox(
        label="Link to a video",
        show_label=False,
        placeholder="Paste the link of a video",
        max_lines=1,
        scale=5,
        elem_id="um-url",
        html_attributes=gr.InputHTMLAttributes(autocapitalize="off", autocorrect="off", spellcheck=False),
    )


def file_box() -> gr.File:
    """Return the box for an upload."""
    kinds = ["video", *VIDEO_SUFFIXES, *PICTURE_SUFFIXES, *BARE_SUFFIXES]
    return uploads_only(
        gr.File(label="Video file", show_label=False, file_types=kinds, height=132, scale=5, elem_id="um-file")
    )


def check_button(elem_id: str) -> gr.Button:
    """Return a button that starts a check."""
    return gr.Button("Check", variant="primary", min_width=120, elem_id=elem_id)


def option_boxes(settings: Settings) -> list[Any]:
    """Return model, start and end."""
    with gr.Accordion("Options", open=False, elem_id="um-options"), gr.Row():
        return [
            gr.Dropdown(
                model_choices(settings), value="", label="Model", filterable=False, scale=2, elem_id="um-model"
            ),
            gr.Textbox(label="Start", placeholder="0:00", min_width=100, elem_id="um-start"),
            gr.Textbox(label="End", placeholder="to the end", min_width=100, elem_id="um-end"),
        ]


def model_choices(settings: Settings) -> list[tuple[str, str]]:
    """Return labels and values: the configured default, then every other bundled model that can be computed here."""
    default = " + ".join(bundled.DEFAULT if name == "default" else Path(name).name for name in settings.models)
    others = [name for name in bundled.usable_names() if name != default]
    return [(f"{default} (default)", ""), *((name, name) for name in others)]


def result_panel(status: gr.HTML) -> Panel:
    """Return the components that show a result."""
    with gr.Column(elem_id="um-result"):
        return Panel(
            job=gr.State(None),
            status=status,
            summary=plain(elem_id="um-summary"),
            video=gr.Video(
                label="The video with the findings", show_label=False, interactive=False, elem_id="um-video"
            ),
            timeline=plain(elem_id="um-timeline"),
            faces=plain(elem_id="um-faces"),
            details=plain(elem_id="um-details"),
            saving=plain(elem_id="um-saving"),
        )


def plain(value: str = "", **options: Any) -> gr.HTML:
    """Return HTML that brings its own style."""
    return gr.HTML(value, apply_default_css=False, padding=False, **options)
