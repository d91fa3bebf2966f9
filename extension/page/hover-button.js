/**
 * A small button on the video under the pointer, where a person switched that on.
 *
 * @typedef {import("./video-check.js").Hello} Hello
 */

import { direction, tag, toWords } from "../shared/i18n.js";
import { h } from "../shared/dom.js";
import { logo } from "../shared/icons.js";
import { overPage } from "./overlay-root.js";
import { videoAt } from "./video-finder.js";

const PACE_MS = 250; // it is looked where the pointer is at most this often
const MIN_PX = 160;

/**
 * @param {Hello} hello
 * @param {(video: HTMLVideoElement) => void} check
 * @param {(video: HTMLVideoElement) => boolean} isChecked it has a badge where the button would be
 * @param {AbortSignal} signal
 */
export function offerOnHover({ speech }, check, isChecked, signal) {
  const words = toWords(speech.table, speech.fallback);
  const language = { lang: tag(speech.language), dir: direction(speech.language) };
  /** @type {{video: HTMLVideoElement, host: HTMLElement} | null} */
  let shown = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const point = { x: 0, y: 0 };
  const hide = () => (shown?.host.remove(), (shown = null));
  const look = () => {
    timer = undefined;
    const video = videoAt(point.x, point.y);
    if (video && video === shown?.video) return;
    hide();
    if (!video || isChecked(video) || Math.min(video.clientWidth, video.clientHeight) < MIN_PX) return;
    const ask = () => (hide(), check(video));
    shown = { video, host: button(video, words("menu_check"), language, ask) };
  };
  const move = (/** @type {PointerEvent} */ event) => {
    [point.x, point.y] = [event.clientX, event.clientY];
    timer ||= setTimeout(look, PACE_MS); // after the last move, too: a pointer that leaves fast has left
  };
  const leave = () => (clearTimeout(timer), (timer = undefined), hide());
  addEventListener("pointermove", move, { passive: true, signal });
  document.documentElement.addEventListener("pointerleave", leave, { passive: true, signal });
  for (const type of ["scroll", "resize"]) addEventListener(type, hide, { capture: true, passive: true, signal });
  signal.addEventListener("abort", leave);
}

/** @param {HTMLVideoElement} video @param {string} text @param {{lang: string, dir: string}} language @param {() => void} ask */
function button(video, text, language, ask) {
  const { top, right } = video.getBoundingClientRect();
  const face = h("button", { class: "badge", type: "button", title: text, "aria-label": text, onclick: ask }, logo());
  const corner = h("div", { class: "corner" }, face);
  corner.style.cssText = `left: ${right - 57}px; top: ${Math.max(4, top + 12)}px;`;
  const root = h("div", { class: "root hover", ...language }, corner);
  return overPage(root).host;
}
