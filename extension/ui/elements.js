/** Elements of the extension's own pages. */

import { fileUrl } from "../shared/browser.js";
import { h } from "../shared/dom.js";

/** Get an element of the page. @param {string} id @returns {HTMLElement} */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Get an input, or a select, of the page. @param {string} id @returns {HTMLInputElement} */
export const inputById = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id));

/**
 * Show something as the panel does, in a shadow root with the panel's style.
 * @param {HTMLElement} host
 * @param {{lang: string, dir: string}} attributes
 * @param {HTMLElement} content
 */
export function showAsInPanel(host, attributes, content) {
  const style = h("link", { rel: "stylesheet", href: fileUrl("page/overlay.css") });
  host.attachShadow({ mode: "open" }).append(style, h("div", { class: "root", ...attributes }, content));
}
