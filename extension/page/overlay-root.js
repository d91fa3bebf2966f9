/** An element over the page: in a closed shadow root in the top layer, which no style leaks into or out of. */

import { fileUrl, shadowRootOf } from "../shared/browser.js";
import { h } from "../shared/dom.js";
import { clickDespitePage } from "./stopped-clicks.js";
import { matches, parentOf } from "./video-elements.js";

const HOST_STYLE = {
  all: "initial",
  position: "fixed",
  inset: "0 auto auto 0",
  width: "0",
  height: "0",
  border: "0",
  padding: "0",
  margin: "0",
  overflow: "visible",
  background: "none",
};
const HOLDERS = ":popover-open, dialog[open], [role=dialog], [aria-modal=true], :fullscreen";
const CONTAINED_EVENTS =
  "keydown keyup keypress click dblclick pointerdown pointerup mousedown mouseup touchstart wheel".split(" ");

/**
 * Mount an element over the page. It is shown once its style is loaded: without, it would lie somewhere else for a
 * moment, perhaps under the pointer.
 * @param {HTMLElement} root
 * @param {HTMLVideoElement | null} video that it lies over
 * @param {() => void} [onShown]
 * @returns {{host: HTMLDialogElement, shadow: ShadowRoot}} removing the host leaves no trace
 */
export function mountOverlay(root, video, onShown = () => {}) {
  const inner = h("div"); // a dialog can have no shadow root
  const host = h("dialog", { popover: "manual", "aria-label": "Unmask" }, inner);
  const shadow = inner.attachShadow({ mode: "closed" });
  const onload = () => ((root.hidden = false), onShown());
  root.hidden = true;
  for (const type of CONTAINED_EVENTS) {
    root.addEventListener(type, (event) => event.stopPropagation(), { passive: true }); // no shortcuts of the page
  }
  clickDespitePage(root);
  shadow.append(h("link", { rel: "stylesheet", href: fileUrl("page/overlay.css"), onload }), root);
  inner.style.setProperty("all", "initial", "important");
  for (const [name, value] of Object.entries(HOST_STYLE)) host.style.setProperty(name, value, "important");
  raise(host, root, video);
  return { host, shadow };
}

/**
 * Move an overlay where it can be seen and pressed: last in the top layer, within what is fullscreen or modal.
 * @param {HTMLDialogElement} host
 * @param {HTMLElement} root hidden until its style is loaded anew, where the host has to move
 * @param {HTMLVideoElement | null} video
 */
export function raise(host, root, video) {
  const parent = holderOf(video);
  const { currentCSSZoom: zoom = 1 } = /** @type {Element & {currentCSSZoom?: number}} */ (parent);
  host.style.setProperty("zoom", String(1 / zoom), "important"); // its place is given in px of the window
  if (isHeld(host, video)) host.hidePopover();
  else {
    root.hidden = true;
    parent.append(host);
    const shadow = shadowRootOf(parent);
    if (shadow && !host.assignedSlot) shadow.append(host); // it has no place for another child
  }
  host.showPopover();
}

/**
 * Tell whether an overlay lies where it can be seen and pressed.
 * @param {HTMLElement} host
 * @param {HTMLVideoElement | null} video
 */
export function isHeld(host, video) {
  return host.isConnected && (host.parentNode === holderOf(video) || parentOf(host) === holderOf(video));
}

/**
 * Find what an overlay must lie in: all else is inert while something is modal or fullscreen, a press outside of a
 * popover or dialog closes it, and dialogs keep the focus in them.
 * @param {HTMLVideoElement | null} video
 * @returns {Element}
 */
function holderOf(video) {
  for (let at = video && parentOf(video); at; at = parentOf(at)) if (matches(at, HOLDERS)) return at;
  const { documentElement: all } = document;
  return fullscreenHolder() ?? ((video && !(all instanceof HTMLElement) && parentOf(video)) || all); // in an SVG's root
}

/** Find what is fullscreen, inside shadow roots, too. @returns {Element | null} */
export function fullscreenElement() {
  let { fullscreenElement: found } = document;
  for (let inside = found; inside; inside = shadowRootOf(inside)?.fullscreenElement ?? null) found = inside;
  return found;
}

/** @returns {Element | null} null: nothing is fullscreen, or a bare video, which can hold nothing */
function fullscreenHolder() {
  const found = fullscreenElement();
  return found instanceof HTMLVideoElement ? null : found;
}
