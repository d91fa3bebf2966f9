/**
 * What is drawn over the page: a badge at the video's corner, a panel that it opens, a timeline along the player.
 * All of it follows the video, and is gone when the signal aborts.
 *
 * @import { Label } from "../shared/labels.js"
 * @import { Translate } from "../shared/i18n.js"
 */

import { h } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { overBareFullscreen } from "./bare-fullscreen.js";
import { isHeld, mountOverlay, raise } from "./overlay-root.js";
import { isFloating, placeOf } from "./video-elements.js";
import { isReplaced } from "./visibility.js";

const MARGIN_PX = 12;
const FOLLOW_MS = 250; // between two looks at whether the video moved without any event
const SEEN_SHARE = 0.01; // less of a video that scrolls within the page is out of sight
const MAX_REMOVALS = 3;
const MIN_PANEL_PX = 48; // a panel below the badge scrolls rather than covers it, down to this height
const SMALL_PX = 260; // a narrower video gets a small badge without text
const SMALL_MARGIN_PX = 4;

/** Draw badge, panel and timeline of one video. */
export class Overlay {
  #panelOpen = false;
  #hidden = false;
  #removals = 0;
  #covers = 0;
  #isClipped = false; // by what scrolls around the video
  #isOutOfSight = false;
  #isAnswer = false;

  /**
   * @param {object} parts
   * @param {HTMLVideoElement | null} parts.video null: a corner of the window
   * @param {Translate} parts.t
   * @param {{lang: string, dir: string}} parts.attributes
   * @param {AbortSignal} parts.signal
   * @param {() => void} parts.onDismiss
   * @param {() => void} parts.onRemoved by a page that does not let it be
   */
  constructor({ video, t, attributes, signal, onDismiss, onRemoved }) {
    this.video = video;
    this.onRemoved = onRemoved;
    this.badge = h("button", {
      class: "badge",
      type: "button",
      "aria-expanded": "false",
      onclick: () => this.toggle(),
    });
    this.close = h(
      "button",
      { class: "close", type: "button", "aria-label": t("dismiss"), title: t("dismiss"), onclick: onDismiss },
      "×",
    );
    this.corner = h("div", { class: "corner" }, this.badge, this.close);
    this.panel = h("section", { class: "panel", role: "dialog", "aria-label": "Unmask", tabindex: -1, hidden: true });
    this.strip = h("div", { class: "strip", role: "toolbar", dir: "ltr", "aria-label": t("timeline"), hidden: true });
    this.live = h("p", { class: "live", role: "status" });
    this.root = h("div", { class: "root", ...attributes }, this.corner, this.panel, this.strip, this.live);
    addEventListener("keydown", (event) => this.#closeByKey(event), { capture: true, signal });
    const { host, shadow } = mountOverlay(this.root, video, () => this.place());
    this.host = host;
    this.shadow = shadow;
    this.#follow(signal);
    overBareFullscreen(this, signal);
    signal.addEventListener("abort", () => this.host.remove());
  }

  /** Show a label in the badge. @param {Label} label */
  show({ text, badge = text, tone, detail }) {
    this.badge.replaceChildren(icon(tone), h("span", { class: "words" }, badge));
    this.badge.title = detail;
    this.#isAnswer = tone !== "busy" && tone !== "failed";
    this.say(tone === "busy" ? detail : text); // not every percent
    this.place();
  }

  /** Fill the panel; the focus stays in it. @param {...Node} content */
  fill(...content) {
    const hadFocus = this.shadow.activeElement !== null && this.panel.contains(this.shadow.activeElement);
    const scrolled = this.panel.scrollTop;
    this.panel.replaceChildren(...content);
    this.panel.scrollTop = scrolled;
    if (hadFocus && !this.panel.contains(this.shadow.activeElement)) this.panel.focus({ preventScroll: true });
    this.place();
  }

  /** Announce a text to screen readers only. @param {string} text */
  say(text) {
    if (this.live.textContent !== text) this.live.textContent = text;
  }

  /** Open or close the panel. */
  toggle(open = !this.#panelOpen) {
    if (!this.host.isConnected) {
      this.#removals = 0;
      raise(this.host, this.root, this.video);
    }
    this.#panelOpen = open;
    this.panel.hidden = !open;
    this.badge.setAttribute("aria-expanded", String(open));
    this.place();
    (open ? this.panel : this.badge).focus({ preventScroll: true });
  }

  /**
   * Hide everything over the video while the tab is captured; a panel beside it may stay.
   * @param {boolean} hidden
   */
  hide(hidden) {
    this.#hidden = hidden;
    this.place();
  }

  /** Move everything to where the video is now. */
  place() {
    const box = this.#box();
    const isMisleading = this.#isOutOfSight && this.#isAnswer; // it would seem to be that of what is shown there now
    this.root.classList.toggle("away", (!isInWindow(box) || isMisleading) && !this.#panelOpen);
    this.root.classList.toggle("small", box.right - box.left < SMALL_PX);
    this.#placeCorner(box);
    if (this.#panelOpen) this.#placePanel(box);
    this.#placeStrip(box);
    this.root.classList.toggle("bare", this.#hidden);
    this.root.classList.toggle("over", this.#hidden && overlap(this.panel.getBoundingClientRect(), box));
  }

  /** @returns {Box} of the window for a video that floats over it, unless its place in the page is in view */
  #box() {
    const { video } = this;
    const box = video?.ownerDocument === document && placeOf(video).getBoundingClientRect();
    if (box && (isInWindow(box) || !isFloating(video))) return box;
    return { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
  }

  /** @param {Box} box */
  #placeCorner({ left, top, right }) {
    const { offsetWidth: width, offsetHeight: height } = this.corner;
    const atStart = this.root.dir === "rtl";
    const margin = right - left < SMALL_PX ? SMALL_MARGIN_PX : MARGIN_PX;
    const x = atStart ? left + margin : right - margin - width;
    const style = this.corner.style;
    style.left = `${clamp(x, 4, innerWidth - width - 4)}px`;
    style.top = `${clamp(top + margin, 4, innerHeight - height - 4)}px`;
  }

  /**
   * Place the panel beside the video where there is room, otherwise below the badge.
   * @param {{left: number, top: number, right: number}} box
   */
  #placePanel(box) {
    const corner = this.corner.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.panel;
    const atStart = this.root.dir === "rtl";
    const fits = (atStart ? box.left : innerWidth - box.right) >= width + 16;
    const beside = atStart ? box.left - width - 8 : box.right + 8;
    const below = atStart ? corner.left : corner.right - width;
    const lowest = innerHeight - 8 - (fits ? height : Math.min(height, MIN_PANEL_PX));
    const y = clamp(fits ? box.top : corner.bottom + 8, 8, Math.max(8, lowest));
    const style = this.panel.style;
    style.left = `${clamp(fits ? beside : below, 8, Math.max(8, innerWidth - width - 8))}px`;
    style.top = `${y}px`;
    style.maxHeight = `${innerHeight - 16 - (fits ? 0 : y - 8)}px`;
  }

  /**
   * Place the timeline along the player's lower edge; what lies under the player stays free.
   * @param {{left: number, right: number, bottom: number}} box
   */
  #placeStrip({ left, right, bottom }) {
    const style = this.strip.style;
    const height = this.strip.offsetHeight;
    style.left = `${left}px`;
    style.width = `${right - left}px`;
    style.top = `${bottom - height}px`;
  }

  /** @param {AbortSignal} signal */
  #follow(signal) {
    const place = () => this.place();
    for (const type of ["scroll", "resize"]) addEventListener(type, place, { capture: true, passive: true, signal });
    document.addEventListener("fullscreenchange", () => this.raise(), { signal });
    const sizes = new ResizeObserver(place);
    const { video } = this;
    const look = () => {
      this.#isOutOfSight = video !== null && !isFloating(video) && (this.#isClipped || isReplaced(video));
      if (!this.host.isConnected) this.#putBack();
      else if (!this.#isShown() || this.#isUnderPopover()) this.raise();
      else this.place();
    };
    const onClip = (/** @type {IntersectionObserverEntry[]} */ entries) => {
      this.#isClipped = (entries.at(-1)?.intersectionRatio ?? 1) < SEEN_SHARE;
      look();
    };
    const clips = new IntersectionObserver(onClip, { threshold: SEEN_SHARE });
    if (video) (sizes.observe(video), clips.observe(video));
    const timer = setInterval(look, FOLLOW_MS);
    signal.addEventListener("abort", () => (sizes.disconnect(), clips.disconnect(), clearInterval(timer)));
  }

  /** @param {KeyboardEvent} event before the page sees it: its own dialog stays open */
  #closeByKey(event) {
    if (event.key !== "Escape" || !this.#panelOpen || !this.shadow.activeElement) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.toggle(false);
  }

  /** Whether it can be pressed: a page may close what it did not open, or open a dialog around the video. */
  #isShown() {
    const { host, video } = this;
    return host.matches(":modal") || (host.matches(":popover-open") && isHeld(host, video));
  }

  /** Whether a page has opened a popover over it that a press elsewhere does not close, a few times. */
  #isUnderPopover() {
    const { left, top, right, bottom } = this.corner.getBoundingClientRect();
    const root = /** @type {Document | ShadowRoot} */ (this.host.getRootNode());
    const over = root.elementFromPoint((left + right) / 2, (top + bottom) / 2)?.closest("[popover=manual]");
    return Boolean(over) && !over?.contains(this.host) && this.#covers++ < MAX_REMOVALS;
  }

  /** Put it back where the page has removed it, a few times. */
  #putBack() {
    if (++this.#removals <= MAX_REMOVALS) raise(this.host, this.root, this.video);
    else if (this.#removals === MAX_REMOVALS + 1) this.onRemoved();
  }

  /** Go above what has just gone fullscreen: the top layer is ordered by the time of entry. */
  raise() {
    if (!this.host.isConnected) return;
    this.host.close(); // where it was modal
    raise(this.host, this.root, this.video);
    this.place();
  }
}

/** @typedef {{left: number, top: number, right: number, bottom: number}} Box */

/** @param {Box} box */
function isInWindow({ left, top, right, bottom }) {
  return right > 0 && bottom > 0 && left < innerWidth && top < innerHeight;
}

/** @param {Box} a @param {Box} b */
function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** @param {number} value @param {number} low @param {number} high */
function clamp(value, low, high) {
  return Math.max(low, Math.min(value, high));
}
