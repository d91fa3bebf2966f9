/** Puts an element of ours over the page: in a closed shadow root in the top layer, which no style leaks into or out of. */

import { fileUrl } from "../shared/browser.js";
import { h } from "../shared/dom.js";

const HOST_STYLE = "all: initial; position: fixed; inset: 0 auto auto 0; width: 0; height: 0; border: 0; padding: 0; margin: 0; overflow: visible; background: none;";
const OWN_EVENTS = ["keydown", "keyup", "keypress", "click", "dblclick", "pointerdown", "pointerup", "mousedown", "mouseup", "touchstart", "wheel"];

/**
 * It is shown as soon as its style is there: without, it would lie somewhere else for a moment, under a finger perhaps.
 *
 * @param {HTMLElement} root
 * @param {Element} [into] an open modal dialog, for example, outside of which nothing can be pressed
 * @param {() => void} [onShown]
 * @returns {{host: HTMLElement, shadow: ShadowRoot}} removing the host leaves no trace
 */
export function overPage(root, into = document.documentElement, onShown = () => {}) {
  const host = h("div", { popover: "manual" });
  const shadow = host.attachShadow({ mode: "closed" });
  const style = h("link", { rel: "stylesheet", href: fileUrl("page/overlay.css"), onload: () => ((root.hidden = false), onShown()) });
  root.hidden = true;
  keepToItself(root);
  shadow.append(style, root);
  host.style.cssText = HOST_STYLE.replaceAll(";", " !important;");
  into.append(host);
  host.showPopover();
  return { host, shadow };
}

/** Keys and clicks here are no shortcuts of the page. @param {HTMLElement} root */
function keepToItself(root) {
  for (const type of OWN_EVENTS) root.addEventListener(type, (event) => event.stopPropagation(), { passive: true });
}
