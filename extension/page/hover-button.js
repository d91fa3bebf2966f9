/** A small button on the video under the pointer, where a person switched that on. */

import { isAlive } from "../shared/browser.js";
import { h } from "../shared/dom.js";
import { languageAttributes, toTranslate } from "../shared/i18n.js";
import { logo } from "../shared/icons.js";
import { mountOverlay } from "./overlay-root.js";
import { videoAt } from "./video-elements.js";

const INTERVAL_MS = 250; // between two looks at where the pointer is
const MIN_PX = 160;

/**
 * Show the button wherever the pointer rests on a video.
 * @param {import("../shared/i18n.js").Locale} locale
 * @param {(video: HTMLVideoElement) => Promise<unknown>} check resolves once the video has a badge, or will have none
 * @param {(video: HTMLVideoElement) => boolean} isChecked it has a badge where the button would be
 * @param {AbortSignal} signal
 */
export function showHoverButton({ language, messages, fallback }, check, isChecked, signal) {
  const text = toTranslate(messages, fallback)("menu_check");
  /** @type {{video: HTMLVideoElement, host: HTMLElement} | null} */
  let shown = null;
  /** @type {HTMLVideoElement | null} a button that came back before its badge would lie over it */
  let starting = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const pointer = { x: 0, y: 0 };
  const hide = () => (shown?.host.remove(), (shown = null));
  const update = () => {
    timer = undefined;
    if (!isAlive()) return void hide();
    const video = videoAt(pointer.x, pointer.y);
    if (video && video === shown?.video) return;
    hide();
    if (!video || video === starting || isChecked(video)) return;
    if (Math.min(video.clientWidth, video.clientHeight) < MIN_PX) return;
    const onclick = () => (hide(), (starting = video), check(video).finally(() => (starting = null)));
    shown = { video, host: mountButton(video, text, languageAttributes(language), onclick) };
  };
  const move = (/** @type {PointerEvent} */ event) => {
    [pointer.x, pointer.y] = [event.clientX, event.clientY];
    timer ||= setTimeout(update, INTERVAL_MS); // after the last move, too: a pointer that leaves fast has left
  };
  const leave = () => (clearTimeout(timer), (timer = undefined), hide());
  addEventListener("pointermove", move, { passive: true, signal });
  document.documentElement.addEventListener("pointerleave", leave, { passive: true, signal });
  for (const type of ["scroll", "resize"]) addEventListener(type, hide, { capture: true, passive: true, signal });
  signal.addEventListener("abort", leave);
}

/**
 * @param {HTMLVideoElement} video
 * @param {string} text
 * @param {{lang: string, dir: string}} attributes
 * @param {() => void} onclick
 */
function mountButton(video, text, attributes, onclick) {
  const { top, right } = video.getBoundingClientRect();
  const button = h("button", { class: "badge", type: "button", title: text, "aria-label": text, onclick }, logo());
  const corner = h("div", { class: "corner" }, button);
  corner.style.cssText = `left: ${right - 57}px; top: ${Math.max(4, top + 12)}px;`;
  return mountOverlay(h("div", { class: "root hover", ...attributes }, corner), video).host;
}
