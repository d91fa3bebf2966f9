/**
 * Presses on pages that stop clicks before they arrive. What is pressed is `:active` whatever a page does, and an
 * animation that starts inside a shadow root is not heard outside, so that no page can stop that event.
 */

import { wait } from "./player-state.js";

const ANIMATION = "pressed"; // of a button that is :active, in overlay.css
const LOOK_MS = 20; // between two looks at whether it is released
const CLICK_MS = 300; // a click so long before is that of an earlier press
const LATE_MS = 150; // after the release a click that arrives at all has mostly arrived
const REPLACED_MS = 1000; // a click that arrives so long after it was replaced is the same press

/**
 * Click the button that a person presses, where the browser's own click does not arrive.
 * @param {HTMLElement} root in a shadow root
 */
export function clickDespitePage(root) {
  let clickedAt = -Infinity;
  let replacedAt = -Infinity;
  const note = (/** @type {Event} */ event) => {
    if (!event.isTrusted) return;
    clickedAt = performance.now();
    if (clickedAt - replacedAt < REPLACED_MS) event.stopImmediatePropagation(); // one press is one click
    replacedAt = -Infinity;
  };
  root.addEventListener("click", note, { capture: true, passive: true });
  root.addEventListener("animationstart", async ({ animationName, target }) => {
    if (animationName !== ANIMATION || !(target instanceof HTMLElement)) return;
    const startedAt = performance.now();
    while (target.matches(":active")) await wait(LOOK_MS);
    const isOver = target.matches(":hover, :focus");
    await wait(LATE_MS);
    if (!isOver || clickedAt >= startedAt - CLICK_MS) return;
    replacedAt = performance.now();
    target.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  });
}
