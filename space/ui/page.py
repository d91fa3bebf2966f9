"""What the page looks like: its components, and which handler each event calls."""

import functools
from pathlib import Path
from typing import Any

import gradio as gr

from ui.api import asker, declare_api, guarded
from ui.handlers import EXAMPLE_VIDEOS, Handlers, Panel
from ui.html import EMPTY, HEAD, PRIVACY, example_cards, notice_html
from unmask.models import bundled
from unmask.render import html
from unmask.service.endpoints import Endpoints
from unmask.service.jobs import Jobs
from unmask.service.settings import Settings

TELL_EXAMPLE = """
element.addEventListener("click", (event) => {
  const card = event.target.closest("[data-example]");
  if (card) trigger("click", { example: card.dataset.example });
});
"""

IDLE_SECONDS = 0.02  # how often gradio looks for calls; by itself every millisecond, a tenth of a core's time

QUIET: dict[str, Any] = {  # how the page's own events run
    "show_progress": "hidden",  # the status says it in words
    "concurrency_limit": None,
    "trigger_mode": "multiple",
    "api_visibility": "private",
}


def build(settings: Settings, jobs: Jobs, uploads: Path) -> gr.Blocks:
    """The page and the API with everything wired; `launch` serves it."""
    endpoints = Endpoints(settings, jobs, uploads)
    who_asks = functools.partial(asker, settings.clients)
    with gr.Blocks(title="Unmask", analytics_enabled=False) as page:
        plain(HEAD + notice_html(settings.notice))
        with gr.Column(elem_classes="um-ask"):
            with gr.Tabs():
                with gr.Tab("Link"), gr.Row(elem_classes="um-line"):
                    url, check_link = link_box(), check_button("um-check-link")
                with gr.Tab("File"), gr.Row(elem_classes="um-line"):
                    file, check_upload = file_box(), check_button("um-check-file")
            options = option_boxes(settings)
        examples = plain(example_cards(EXAMPLE_VIDEOS), js_on_load=TELL_EXAMPLE, elem_id="um-examples")
        status = plain(EMPTY, elem_id="um-status")
        cancel = gr.Button("Cancel", size="sm", elem_id="um-cancel")
        panel = result_panel(status)
        plain(html.limits() + PRIVACY)
        declare_api(endpoints, who_asks)  # before the page's own events, which would take its names
        handlers, outputs = Handlers(endpoints, jobs, panel, who_asks), panel.outputs()
        gr.on([check_link.click, url.submit], handlers.check_link, [url, *options], outputs, **QUIET)
        check_upload.click(handlers.check_upload, [file, *options], outputs, **QUIET)
        examples.click(handlers.check_example, options[:1], outputs, **QUIET)
        cancel.click(handlers.cancel, panel.job, None, **QUIET)
        page.load(linked, None, url, **QUIET)
    page._queue.sleep_when_free = IDLE_SECONDS
    page._queue.progress_update_sleep_when_free = IDLE_SECONDS
    return page


def linked(request: gr.Request) -> Any:
    """The address in `?url=…` fills the box. Nothing is fetched before a person presses the button."""
    return request.query_params.get("url") or gr.skip()


def link_box() -> gr.Textbox:
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
    kinds = ["video", ".mkv", ".gif"]
    return guarded(
        gr.File(label="Video file", show_label=False, file_types=kinds, height=132, scale=5, elem_id="um-file")
    )


def check_button(elem_id: str) -> gr.Button:
    return gr.Button("Check", variant="primary", min_width=120, elem_id=elem_id)


def option_boxes(settings: Settings) -> list[Any]:
    with gr.Accordion("Options", open=False, elem_id="um-options"), gr.Row():
        return [
            gr.Dropdown(
                model_choices(settings),
                value="",
                label="Model",
                filterable=False,
                scale=2,
                elem_id="um-model",
            ),
            gr.Textbox(label="Start", placeholder="0:00", min_width=100, elem_id="um-start"),
            gr.Textbox(label="End", placeholder="to the end", min_width=100, elem_id="um-end"),
        ]


def model_choices(settings: Settings) -> list[tuple[str, str]]:
    """What a person may choose: the configured default, then every other model that is here."""
    default = " + ".join(bundled.DEFAULT if name == "default" else Path(name).name for name in settings.models)
    others = [name for name in bundled.names() if name != default]
    return [(f"{default} (default)", ""), *((name, name) for name in others)]


def result_panel(status: gr.HTML) -> Panel:
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
    """HTML that brings its own style."""
    return gr.HTML(value, apply_default_css=False, padding=False, **options)
