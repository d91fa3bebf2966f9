/**
 * The spans of a report as buttons along the player: a click or Enter seeks, arrow keys move between them.
 *
 * @import { OkReport, Span } from "../shared/report.js"
 * @import { Translate } from "../shared/i18n.js"
 */

import { h } from "../shared/dom.js";
import { formatClock, formatPercent } from "../shared/labels.js";
import { mergeSpans } from "../shared/report.js";

const LENGTH_TOLERANCE = 0.05; // an advertisement in the same player has another length

/**
 * Draw the timeline of a report.
 * @param {HTMLElement} strip
 * @param {OkReport} report
 * @param {HTMLVideoElement} video
 * @param {Translate} t
 * @param {AbortSignal} signal
 */
export function drawTimeline(strip, report, video, t, signal) {
  const spans = mergeSpans(report.timeline);
  const buttons = spans.map((span) => spanButton(span, t, () => seek(video, span.start_seconds)));
  strip.replaceChildren(...buttons);
  addKeys(strip, buttons, signal);
  const lay = () => layOut(strip, buttons, spans, shownLength(report, video));
  video.addEventListener("durationchange", lay, { signal });
  lay();
}

/** Seek in a player. @param {HTMLVideoElement} video @param {number} seconds */
export function seek(video, seconds) {
  video.currentTime = Number.isFinite(video.duration) ? Math.min(seconds, video.duration) : seconds;
}

/**
 * Find the length of the video in the player.
 * @param {OkReport} report
 * @param {HTMLVideoElement} video
 * @returns {number} seconds; 0 when it is not the one of the report
 */
function shownLength(report, video) {
  const last = Math.max(0, ...report.timeline.map((span) => span.end_seconds));
  const checked = report.source.duration_seconds ?? 0;
  const shown = Number.isFinite(video.duration) ? video.duration : 0;
  if (checked && shown && Math.abs(checked - shown) > Math.max(2, LENGTH_TOLERANCE * checked)) return 0;
  return shown || checked || last;
}

/** @param {HTMLElement} strip @param {HTMLElement[]} buttons @param {Span[]} spans @param {number} length seconds */
function layOut(strip, buttons, spans, length) {
  strip.hidden = length <= 0 || buttons.length === 0;
  for (const [place, { start_seconds: start, end_seconds: end }] of spans.entries()) {
    const { style } = /** @type {HTMLElement} */ (buttons[place]);
    style.left = `${Math.min(100, (100 * start) / length)}%`;
    style.width = `${Math.min(100, (100 * (end - start)) / length)}%`;
  }
}

/** @param {Span} span @param {Translate} t @param {() => void} onclick */
function spanButton({ start_seconds: start, probability_fake: probability, label }, t, onclick) {
  const text = t("moment", formatClock(start), formatPercent(probability, t), t(`label_${label}`));
  const bar = h("span", { class: "bar" });
  bar.style.height = `${Math.round(30 + 70 * probability)}%`;
  const attributes = { class: `moment ${label}`, type: "button", "aria-label": text, title: text };
  return h("button", { ...attributes, tabindex: -1, onclick }, bar);
}

/**
 * Make the buttons one stop of the Tab key, with arrow keys inside.
 * @param {HTMLElement} strip
 * @param {HTMLElement[]} buttons
 * @param {AbortSignal} signal
 */
function addKeys(strip, buttons, signal) {
  buttons[0]?.setAttribute("tabindex", "0");
  const onKeydown = (/** @type {KeyboardEvent} */ event) => {
    const at = buttons.findIndex((button) => button.tabIndex === 0);
    const next = buttons[nextIndex(event.key, at, buttons.length)];
    if (!next) return;
    event.preventDefault();
    buttons[at]?.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  };
  strip.addEventListener("keydown", onKeydown, { signal });
}

/**
 * Find the button that a key moves to.
 * @param {string} key
 * @param {number} index
 * @param {number} count
 * @returns {number} -1: none
 */
export function nextIndex(key, index, count) {
  if (key === "ArrowRight") return Math.min(index + 1, count - 1);
  if (key === "ArrowLeft") return Math.max(index - 1, 0);
  return key === "Home" ? 0 : key === "End" ? count - 1 : -1;
}
