"""Colours, fonts, style sheet and script of the page."""

from pathlib import Path

import gradio as gr

from unmask.render import html

HERE = Path(__file__).parent
STYLE_SHEET = HERE / "page.css"


def head_html() -> str:
    """Return the style of a report and the script of the page."""
    script = (HERE / "seek_and_scroll.js").read_text(encoding="utf-8")
    return f"<style>{html.CSS}</style><script>{script}</script>"


def theme() -> gr.themes.Base:
    """Return the colours of the report, with the system's own fonts: nothing is loaded from other servers."""
    base = gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    )
    wash, card, line, ink, soft = "#f4f6f8", "#ffffff", "#d9dfe6", "#1b2430", "#556070"
    dark_wash, dark_card, dark_line, dark_ink, dark_soft = ("#10151c", "#1a212b", "#36414e", "#e8ecf1", "#a5b0bd")
    light_and_dark = {
        "body_background_fill": (wash, dark_wash),
        "background_fill_primary": (card, dark_card),
        "background_fill_secondary": (wash, dark_wash),
        "block_background_fill": (card, dark_card),
        "block_label_background_fill": (card, dark_card),
        "input_background_fill": (card, dark_card),
        "border_color_primary": (line, dark_line),
        "block_border_color": (line, dark_line),
        "input_border_color": (line, dark_line),
        "body_text_color": (ink, dark_ink),
        "body_text_color_subdued": (soft, dark_soft),
        "block_label_text_color": (soft, dark_soft),
        "block_title_text_color": (soft, dark_soft),
        "button_primary_background_fill": ("#3538cd", "#4a50dc"),
        "button_primary_background_fill_hover": ("#2a2dab", "#5a60ea"),
        "button_secondary_background_fill": (card, dark_card),
        "button_secondary_background_fill_hover": (wash, dark_line),
        "button_secondary_text_color": (ink, dark_ink),
        "button_secondary_border_color": (line, dark_line),
    }
    values = {name: light for name, (light, _) in light_and_dark.items()}
    return base.set(**values, **{f"{name}_dark": dark for name, (_, dark) in light_and_dark.items()})
