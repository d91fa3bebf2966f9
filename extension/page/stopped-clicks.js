/**
 * Presses on pages that stop clicks before they arrive. A button gives its command whether or not its click, or the key
 * that was pressed, is heard. Where a page forbids even that, what is pressed is `:active` whatever the page does, and
 * a transition that begins inside a shadow root is not heard outside: no page can stop that event. In Firefox a page
 * that prevents `mousedown` prevents `:active`, too, but not that a press activates the page, once in five seconds. A
 * key that is heard and whose click is not is a press, too; where none is, the keys of the shortcut press what has the
 * focus.
 */

import { wait } from "./player-state.js";

const RELEASED = "shape-margin"; // of which a transition begins once a button is not :active any more, in overlay.css
const HOVERED = "shape-image-threshold"; // likewise, once the pointer comes to a button or leaves it
const LOOK_MS = 50; // between two looks at whether the page is activated
const DRAWN_MS = 2000; // so late after a release a slow computer draws the next picture of a page
const CLICK_MS = 300; // a click so long before is that of an earlier press
const LATE_MS = 150; // after the release a click that arrives at all has mostly arrived
const REPLACED_MS = 1000; // a click that arrives so long after it was replaced is the same press

/** Click a button without any event outside of its shadow root. @param {Element} target */
export function clickInside(target) {
  target.dispatchEvent(new MouseEvent("click", { bubbles: true }));
}

/**
 * Click the button that a person presses, where the browser's own click does not arrive.
 * @param {HTMLElement} root in a shadow root
 */
export function clickDespitePage(root) {
  let clickedAt = -Infinity;
  let replacedAt = -Infinity;
  let commandedAt = -Infinity;
  let releasedAt = -Infinity;
  let isHeard = false; // the click whose command comes next
  const note = (/** @type {Event} */ event) => {
    isHeard = true;
    setTimeout(() => (isHeard = false));
    if (!event.isTrusted) return;
    clickedAt = performance.now();
    if (clickedAt - replacedAt < REPLACED_MS) event.stopImmediatePropagation(); // one press is one click
    replacedAt = -Infinity;
  };
  root.addEventListener("click", note, { capture: true, passive: true });
  const clickUnlessHeard = async (/** @type {Element} */ target, /** @type {number} */ since) => {
    await wait(LATE_MS);
    if (Math.max(clickedAt, commandedAt, replacedAt) >= since - CLICK_MS) return;
    replacedAt = performance.now();
    clickInside(target);
  };
  for (const [type, wanted] of /** @type {const} */ ([
    ["keydown", "Enter"],
    ["keyup", " "],
  ])) {
    root.addEventListener(type, ({ key, repeat, target }) => {
      if (key === wanted && !repeat && target instanceof HTMLButtonElement)
        void clickUnlessHeard(target, performance.now());
    });
  }
  root.addEventListener("command", (event) => {
    if (isHeard) return;
    const isReplaced = performance.now() - replacedAt < REPLACED_MS;
    replacedAt = -Infinity;
    if (isReplaced) return;
    commandedAt = performance.now();
    clickInside(/** @type {any} */ (event).source);
  });
  const giveCommands = () => {
    for (const button of root.querySelectorAll("button:not([command])")) {
      button.setAttribute("command", "--press");
      Object.assign(button, { commandForElement: root });
    }
  };
  new MutationObserver(giveCommands).observe(root, { childList: true, subtree: true });
  giveCommands();
  root.addEventListener("transitionrun", ({ propertyName, target }) => {
    if (!(target instanceof HTMLElement)) return;
    if (propertyName === HOVERED) void watchActivation(target, (since) => void clickUnlessHeard(target, since));
    if (propertyName !== RELEASED) return;
    const since = Math.max(releasedAt, performance.now() - DRAWN_MS); // its click came before this event, or never will
    releasedAt = performance.now();
    if (Math.max(clickedAt, commandedAt, replacedAt) > since || !target.matches(":hover, :focus-visible")) return;
    replacedAt = releasedAt;
    clickInside(target);
  });
}

/**
 * Watch whether a page is activated while the pointer rests on a button, other than by a key or another mouse button.
 * @param {HTMLElement} button
 * @param {(since: number) => void} onPress told when it was not yet active, which a slow computer sees late
 */
async function watchActivation(button, onPress) {
  let wasActive = true;
  let lookedAt = performance.now();
  const leaving = new AbortController();
  const note = (/** @type {Event} */ event) => {
    if (!(event instanceof PointerEvent) || event.button !== 0) wasActive = true;
  };
  for (const type of ["keydown", "pointerdown"])
    addEventListener(type, note, { capture: true, passive: true, signal: leaving.signal });
  while (button.matches(":hover")) {
    const { isActive } = navigator.userActivation;
    if (isActive && !wasActive && !button.matches(":active")) onPress(lookedAt);
    wasActive = isActive;
    lookedAt = performance.now();
    await wait(LOOK_MS);
  }
  leaving.abort();
}
