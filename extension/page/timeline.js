/**
 * The moments of a report as buttons along the player: click or Enter seeks, arrow keys go from one to the next.
 *
 * @typedef {import("../shared/report.js").OkReport} OkReport
 * @typedef {import("../shared/report.js").Span} Span
 * @typedef {import("../shared/i18n.js").Words} Words
 */

import { clock, percent, toneOf } from "../shared/labels.js";
import { mergeMoments } from "../shared/report.js";
import { h } from "../shared/dom.js";

const SAME_LENGTH_SHARE = 0.05; // an advertisement in the same player has another length

/**
 * @param {HTMLElement} strip is filled
 * @param {OkReport} report
 * @param {HTMLVideoElement} video
 * @param {Words} words
 * @param {AbortSignal} signal
 */
export function drawTimeline(strip, report, video, words, signal) {
  const moments = mergeMoments(report.timeline);
  const buttons = moments.map((moment) => momentButton(moment, report, words, () => seek(video, moment.start_seconds)));
  strip.replaceChildren(...buttons);
  rove(strip, buttons, signal);
  const lay = () => layOut(strip, buttons, moments, lengthOf(report, video));
  video.addEventListener("durationchange", lay, { signal });
  lay();
}

/** @param {HTMLVideoElement} video @param {number} seconds */
export function seek(video, seconds) {
  video.currentTime = Number.isFinite(video.duration) ? Math.min(seconds, video.duration) : seconds;
}

/** How long the shown video is; 0 when it is another one. @param {OkReport} report @param {HTMLVideoElement} video */
function lengthOf(report, video) {
  const last = Math.max(0, ...report.timeline.map((span) => span.end_seconds));
  const checked = report.source.duration_seconds ?? 0;
  const shown = Number.isFinite(video.duration) ? video.duration : 0;
  if (checked && shown && Math.abs(checked - shown) > Math.max(2, SAME_LENGTH_SHARE * checked)) return 0;
  return shown || checked || last;
}

/**
 * @param {HTMLElement} strip
 * @param {HTMLElement[]} buttons
 * @param {Span[]} moments
 * @param {number} length seconds
 */
function layOut(strip, buttons, moments, length) {
  strip.hidden = length <= 0 || buttons.length === 0;
  buttons.forEach((button, place) => {
    const { start_seconds: start, end_seconds: end } = moments[place] ?? { start_seconds: 0, end_seconds: 0 };
    button.style.left = `${Math.min(100, (100 * start) / length)}%`;
    button.style.width = `${Math.min(100, (100 * (end - start)) / length)}%`;
  });
}

/** @param {Span} moment @param {OkReport} report @param {Words} words @param {() => void} onclick */
function momentButton(moment, report, words, onclick) {
  const tone = toneOf(moment.probability_fake, report.verdict.band);
  const said = words("moment", clock(moment.start_seconds), percent(moment.probability_fake, words), words(`label_${tone}`));
  const bar = h("span", { class: "bar" });
  bar.style.height = `${Math.round(30 + 70 * moment.probability_fake)}%`;
  return h("button", { class: `moment ${tone}`, type: "button", "aria-label": said, title: said, tabindex: -1, onclick }, bar);
}

/** One stop for the Tab key, arrows inside. @param {HTMLElement} strip @param {HTMLElement[]} buttons @param {AbortSignal} signal */
function rove(strip, buttons, signal) {
  buttons[0]?.setAttribute("tabindex", "0");
  const onkeydown = (/** @type {KeyboardEvent} */ event) => {
    const at = buttons.findIndex((button) => button.tabIndex === 0);
    const next = buttons[placeAfter(event.key, at, buttons.length)];
    if (!next) return;
    event.preventDefault();
    buttons[at]?.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  };
  strip.addEventListener("keydown", onkeydown, { signal });
}

/** @param {string} key @param {number} at @param {number} count @returns {number} -1: nowhere */
export function placeAfter(key, at, count) {
  if (key === "ArrowRight") return Math.min(at + 1, count - 1);
  if (key === "ArrowLeft") return Math.max(at - 1, 0);
  return key === "Home" ? 0 : key === "End" ? count - 1 : -1;
}
