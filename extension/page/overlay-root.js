/** An element over the page: in a closed shadow root in the top layer, which no style leaks into or out of. */

import { fileUrl } from "../shared/browser.js";
import { h } from "../shared/dom.js";

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
const CONTAINED_EVENTS =
  "keydown keyup keypress click dblclick pointerdown pointerup mousedown mouseup touchstart wheel".split(" ");

/**
 * Mount an element over the page. It is shown once its style is loaded: without, it would lie somewhere else for a
 * moment, perhaps under the pointer.
 * @param {HTMLElement} root
 * @param {Element} [parent] such as an open modal dialog, outside of which nothing can be pressed
 * @param {() => void} [onShown]
 * @returns {{host: HTMLElement, shadow: ShadowRoot}} removing the host leaves no trace
 */
export function mountOverlay(root, parent = document.documentElement, onShown = () => {}) {
  const host = h("div", { popover: "manual" });
  const shadow = host.attachShadow({ mode: "closed" });
  const onload = () => ((root.hidden = false), onShown());
  root.hidden = true;
  for (const type of CONTAINED_EVENTS) {
    root.addEventListener(type, (event) => event.stopPropagation(), { passive: true }); // no shortcuts of the page
  }
  shadow.append(h("link", { rel: "stylesheet", href: fileUrl("page/overlay.css"), onload }), root);
  for (const [name, value] of Object.entries(HOST_STYLE)) host.style.setProperty(name, value, "important");
  parent.append(host);
  host.showPopover();
  return { host, shadow };
}
