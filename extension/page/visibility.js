/** How much of a video can be seen, and where it lies. */

import { quarterTurns } from "./capture.js";
import { isPaintedOver } from "./paint-order.js";
import { covers, elementsAt, isFloating, letsPointerPass, parentOf } from "./video-elements.js";

export const FAINT = 0.5; // opacity
const OPAQUE = 0.9;
const GRID = [0.1, 0.5, 0.9]; // of a video's width and height, where it is looked for what lies over it
const OUTSIDE_PX = 24; // so far a poster or controls may reach beyond their video; what reaches further covers it

/**
 * Tell whether most of a video can be seen, and not only through something.
 * @param {HTMLVideoElement} video
 */
export function isSeen(video) {
  return isFloating(video) || (opacityOf(video) >= FAINT && !isBehindModal(video) && coveredShare(video) < 0.5);
}

/** Tell whether something modal or fullscreen hides a video. @param {HTMLVideoElement} video */
export function isBehindModal(video) {
  const modal = [...document.querySelectorAll(":modal:not([popover])")].at(-1); // what this extension draws is none
  for (let at = modal && /** @type {Element | null} */ (video); at; at = parentOf(at)) if (at === modal) return false;
  return modal !== undefined;
}

/**
 * Look how much of a video in view lies behind something else. Its poster and its controls are no cover, nor is what
 * can be seen through.
 * @param {HTMLVideoElement} video
 */
export function coveredShare(video) {
  const box = video.getBoundingClientRect();
  const stacks = stacksOver(box);
  return stacks.filter((stack) => isUnder(video, stack, box)).length / stacks.length;
}

/**
 * Tell whether all of a video's place in the page shows something else: another video, or a part of the page. A player
 * may hide its <video> and draw a picture of it there.
 * @param {HTMLVideoElement} video
 */
export function isReplaced(video) {
  const around = parentOf(video);
  const isPlayed = !video.paused || video.currentTime > 0; // before, a player may show its poster alone
  if (isBehindModal(video) || (isPlayed && around && opacityOf(around) < FAINT)) return true;
  const box = video.getBoundingClientRect();
  const stacks = stacksOver(box).filter((stack) => stack.length > 0); // in the window
  const isElsewhere = (/** @type {Element[]} */ stack) => {
    const shown = stack.find((element) => (element === video ? opacityOf(video) >= FAINT : isShowing(element)));
    return (shown !== undefined && shown !== video) || isUnder(video, stack, box);
  };
  return stacks.length > 0 && stacks.every(isElsewhere);
}

/** Find what lies at some points of a box, the uppermost first. @param {DOMRect} box */
function stacksOver({ left, top, width, height }) {
  const passed = [...document.getElementsByTagName("video")].filter(letsPointerPass);
  return GRID.flatMap((y) => GRID.map((x) => stackAt(left + x * width, top + y * height, passed)));
}

/** @param {number} x @param {number} y @param {HTMLVideoElement[]} passed which no hit test finds */
function stackAt(x, y, passed) {
  const stack = elementsAt(document, x, y);
  for (const video of stack.length ? passed.filter((one) => covers(one, x, y)) : []) {
    const below = stack.findIndex((element) => isPaintedOver(video, element));
    stack.splice(below < 0 ? stack.length : below, 0, video);
  }
  return stack;
}

/** @param {HTMLVideoElement} video @param {Element[]} stack at a point @param {DOMRect} box of the video */
function isUnder(video, stack, box) {
  return stack.slice(0, Math.max(0, stack.indexOf(video))).some((element) => isCover(element, box));
}

/** Tell whether an element is a video that can be seen. @param {Element} element */
function isShowing(element) {
  if (!(element instanceof HTMLVideoElement) || opacityOf(element) < OPAQUE) return false;
  return element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA || element.poster !== "";
}

/** @param {Element} element over a video @param {DOMRect} box of the video */
function isCover(element, { left, top, right, bottom }) {
  if (element instanceof HTMLVideoElement) return isShowing(element);
  const alpha = /^rgba\(.*, ?([\d.]+)\)$/.exec(getComputedStyle(element).backgroundColor)?.[1] ?? 1;
  if (Number(alpha) < OPAQUE && !/^(img|iframe|canvas)$/.test(element.localName)) return false;
  const over = element.getBoundingClientRect();
  const outside = Math.max(left - over.left, top - over.top, over.right - right, over.bottom - bottom);
  return outside > OUTSIDE_PX && opacityOf(element) >= OPAQUE;
}

/** Compute how opaque an element is, with everything around it. @param {Element} element */
export function opacityOf(element) {
  let opacity = element.checkVisibility({ visibilityProperty: true }) ? 1 : 0;
  for (let at = /** @type {Element | null} */ (element); at && opacity; at = parentOf(at)) {
    opacity *= Number(getComputedStyle(at).opacity);
  }
  return opacity;
}

/** Compute the share of the window's area that a box takes. @param {DOMRect} rect */
export function visibleShare({ left, top, right, bottom }) {
  const width = Math.min(right, innerWidth) - Math.max(left, 0);
  const height = Math.min(bottom, innerHeight) - Math.max(top, 0);
  return width > 0 && height > 0 ? (width * height) / Math.max(1, innerWidth * innerHeight) : 0;
}

/** Find where the picture lies in the box of a video, without the bars beside it. @param {HTMLVideoElement} video */
function pictureBox(video) {
  const box = video.getBoundingClientRect();
  const { objectFit, objectPosition } = getComputedStyle(video);
  const isTurned = quarterTurns(video) % 2 !== 0;
  const sides = [video.videoWidth, video.videoHeight];
  const [across = 0, down = 0] = isTurned ? sides.reverse() : sides;
  if (!/^(contain|scale-down)$/.test(objectFit) || across === 0) return box;
  const fit = Math.min(box.width / across, box.height / down);
  const scale = objectFit === "contain" ? fit : Math.min(fit, box.width / video.offsetWidth);
  const [width, height] = [scale * across, scale * down];
  const [x = "50%", y = "50%"] = isTurned ? [] : (objectPosition.replace(/ ([+-]) /g, "$1").match(/\S+/g) ?? []);
  const number = (/** @type {string} */ text, /** @type {RegExp} */ unit) => Number(unit.exec(text)?.[0] ?? 0);
  const zoom = box.width / video.offsetWidth;
  const inset = (/** @type {string} */ place, /** @type {number} */ bars) =>
    (bars * number(place, /-?[\d.]+(?=%)/)) / 100 + zoom * number(place, /[+-]?[\d.]+(?=px)/);
  return new DOMRect(box.left + inset(x, box.width - width), box.top + inset(y, box.height - height), width, height);
}

/**
 * Find what is seen of a video.
 * @param {HTMLVideoElement} video
 * @returns {import("../shared/messages.js").TabBox | null} null: its place is not known, as in a frame of another site
 */
export function boxInTab(video) {
  if (isFloating(video)) return null;
  /** @type {Window} */
  let view = window;
  let { left, top, right, bottom } = pictureBox(video);
  for (;;) {
    [left, top] = [Math.max(0, left), Math.max(0, top)];
    [right, bottom] = [Math.min(view.innerWidth, right), Math.min(view.innerHeight, bottom)];
    if (view === window.top) break;
    const frame = /** @type {HTMLElement | null} */ (view.frameElement);
    if (!frame) return null;
    const around = frame.getBoundingClientRect();
    const scale = around.width / frame.offsetWidth;
    const inner = (scale * frame.clientWidth) / view.innerWidth;
    const [x, y] = [around.left + scale * frame.clientLeft, around.top + scale * frame.clientTop];
    [left, top, right, bottom] = [inner * left + x, inner * top + y, inner * right + x, inner * bottom + y];
    view = view.parent;
  }
  const { offsetLeft = 0, offsetTop = 0, scale = 1 } = view.visualViewport ?? {}; // of a page that is pinched larger
  const [x, y] = [Math.max(0, left - offsetLeft), Math.max(0, top - offsetTop)];
  const width = Math.min(view.innerWidth / scale, right - offsetLeft) - x;
  const height = Math.min(view.innerHeight / scale, bottom - offsetTop) - y;
  return { left: scale * x, top: scale * y, width: scale * width, height: scale * height, tabWidth: view.innerWidth };
}
