/**
 * A small button on the video under the pointer, where a person switched that on.
 *
 * @typedef {import("./visit.js").Hello} Hello
 */

import { direction, tag, toWords } from "../words.js";
import { h } from "./dom.js";
import { logo } from "./icons.js";
import { overPage } from "./layer.js";
import { videoAt } from "./videos.js";

const REST_MS = 250; // the pointer is asked where it is at most this often
const MIN_PX = 160;

/**
 * @param {Hello} hello
 * @param {(video: HTMLVideoElement) => void} check
 * @param {AbortSignal} signal
 */
export function offerOnHover({ speech }, check, signal) {
  const words = toWords(speech.table, speech.fallback);
  /** @type {{video: HTMLVideoElement, host: HTMLElement} | null} */
  let shown = null;
  let lookedAt = 0;
  const hide = () => (shown?.host.remove(), (shown = null));
  const look = (/** @type {PointerEvent} */ event) => {
    if (event.timeStamp - lookedAt < REST_MS || event.target === shown?.host) return;
    lookedAt = event.timeStamp;
    const video = videoAt(event.clientX, event.clientY);
    if (video === shown?.video) return;
    hide();
    if (video && Math.min(video.clientWidth, video.clientHeight) >= MIN_PX) {
      const ask = () => (hide(), check(video));
      shown = { video, host: button(video, words("menu_check"), { lang: tag(speech.language), dir: direction(speech.language) }, ask) };
    }
  };
  addEventListener("pointermove", look, { passive: true, signal });
  for (const type of ["scroll", "resize"]) addEventListener(type, hide, { capture: true, passive: true, signal });
  signal.addEventListener("abort", hide);
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
