"""The HTML around a report."""

import gradio as gr
import pytest

from tests.media import EXAMPLES as FOLDER
from ui.html import EXAMPLES, STAGES, example_cards, progress_html, state_html
from ui.page import file_box
from unmask.progress import STAGES as CHECK_STAGES
from unmask.service.jobs import JobState


def waiting(position):
    return JobState("queued", "queued", 0.0, "Waiting", position, None)


def test_every_stage_of_a_check_has_words():
    assert list(STAGES) == [stage for stage in CHECK_STAGES if stage not in ("queued", "done")]


def test_the_present_step_is_marked_and_the_earlier_ones_are_done():
    html = progress_html("faces", 0.4149, "Looking")
    assert html.count('class="done"') == 2
    assert html.count('aria-current="step"') == 1
    assert html.count('class="todo"') == 2
    assert 'aria-valuenow="41"' in html
    assert progress_html("", 0.5, "Drawing").count('class="done"') == len(STAGES)


def test_who_waits_is_told_how_many_are_ahead():
    assert "Starting" in state_html(waiting(1))
    assert "one check is ahead" in state_html(waiting(2))
    assert "4 checks are ahead" in state_html(waiting(5))


def test_words_from_elsewhere_are_escaped():
    html = progress_html('"><b>', 2.0, "<script>alert(1)</script>")
    assert "<script" not in html
    assert "<b>" not in html
    assert 'aria-valuenow="100"' in html


def test_each_example_has_a_small_clip_and_a_picture():
    cards = example_cards(FOLDER)
    for name in EXAMPLES:
        assert f'data-example="{name}"' in cards
        assert 10_000 < (FOLDER / f"{name}.mp4").stat().st_size < 300_000
    assert cards.count("data:image/jpeg;base64,/9j/") == len(EXAMPLES)


@pytest.mark.parametrize(
    "suffix", [".mp4", ".m2ts", ".flv", ".gif", ".webp", ".avif", ".png", ".jpg", ".heic", ".h264"]
)
def test_whatever_holds_moving_pictures_can_be_uploaded(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(b"x")
    assert file_box().preprocess(gr.FileData(path=str(path), orig_name=path.name)) == str(path)
