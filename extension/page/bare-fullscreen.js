/**
 * A <video> that is fullscreen itself can hold nothing, and Chromium makes everything outside of it inert. Only a modal
 * dialog is not, and makes the video inert in turn: so the overlay is modal while it is used, and only then.
 */

import { fullscreenElement } from "./overlay-root.js";

/**
 * Let the overlay be pressed, and reached by the Tab key, over a <video> that is fullscreen.
 * @param {import("./overlay.js").Overlay} overlay
 * @param {AbortSignal} signal
 */
export function overBareFullscreen(overlay, signal) {
  const { host, root, shadow } = overlay;
  const isOver = (/** @type {MouseEvent} */ { clientX: x, clientY: y }) =>
    [...root.children].some((part) => {
      const { left, top, right, bottom } = part.getBoundingClientRect();
      return !part.classList.contains("live") && left <= x && x < right && top <= y && y < bottom;
    });
  const enter = () => (host.hidePopover(), host.showModal(), overlay.place());
  const isModal = () => host.matches(":modal");
  /**
   * @template {keyof WindowEventMap} T
   * @param {T} type
   * @param {(event: WindowEventMap[T]) => void} listener
   */
  const listen = (type, listener) => {
    const isBare = () => host.isConnected && fullscreenElement() instanceof HTMLVideoElement;
    addEventListener(type, (event) => isBare() && listener(event), { capture: true, signal });
  };
  let isPressed = false;
  listen("pointermove", (event) => {
    if (isOver(event) !== isModal() && !(isModal() && (!overlay.panel.hidden || shadow.activeElement))) {
      if (isModal()) overlay.raise();
      else enter();
    }
  });
  listen("pointerdown", (event) => {
    // of a finger, which does not move before
    isPressed = !isModal() && isOver(event);
    if (isPressed) (enter(), swallow(event));
  });
  listen("click", (event) => {
    if (isPressed) (swallow(event), shadow.elementFromPoint(event.clientX, event.clientY)?.closest("button")?.click());
    isPressed = false;
  });
  listen("keydown", (event) => {
    if (event.key !== "Tab" || isModal()) return;
    enter();
    overlay.badge.focus();
    swallow(event);
  });
}

/** @param {Event} event */
function swallow(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}
