/** The videos of a document and what lies around them, shadow roots included. */

import { shadowRootOf } from "../shared/browser.js";

const MIN_SIDE_PX = 48; // smaller ones are trackers and decoration
const MAX_SEARCHED = 1000; // elements at once, about 2 ms
const SHADOW_HOSTS = new Set(
  "article aside blockquote body div footer h1 h2 h3 h4 h5 h6 header main nav p section span".split(" "),
);

/**
 * Find every video of the document, shadow roots and a window that floats over it included.
 * @returns {HTMLVideoElement[]}
 */
export function allVideos() {
  return /** @type {HTMLVideoElement[]} */ (findAll("video"));
}

/**
 * Find elements of the document, in shadow roots and a window that floats over it, too.
 * @param {string} selector
 */
export function findAll(selector) {
  return findIn(
    [...documents(), ...shadowRoots()].filter((root) => root !== null),
    selector,
  );
}

/**
 * Search for videos again and again without a long task: a large page is searched for shadow roots part by part.
 * @returns {() => HTMLVideoElement[]} finds those of all parts so far
 */
export function searchVideos() {
  /** @type {Set<ShadowRoot>} */
  const known = new Set();
  let search = shadowRoots();
  return () => {
    for (let left = MAX_SEARCHED; left > 0; left--) {
      const { value, done } = search.next();
      if (value) known.add(value);
      if (done) search = shadowRoots();
      if (done) break;
    }
    for (const root of known) if (!root.isConnected) known.delete(root);
    return /** @type {HTMLVideoElement[]} */ (findIn([...documents(), ...known], "video"));
  };
}

/** @param {(Document | ShadowRoot)[]} roots @param {string} selector @returns {Element[]} */
function findIn(roots, selector) {
  return roots.flatMap((root) => [...root.querySelectorAll(selector)]);
}

/** @returns {Document[]} */
function documents() {
  const { documentPictureInPicture: floating } = /** @type {any} */ (window); // Chromium's
  return [document, floating?.window?.document].filter(Boolean);
}

/** @param {(Document | ShadowRoot)[]} roots @returns {Generator<ShadowRoot | null, void>} of each element, or null */
function* shadowRoots(roots = documents()) {
  for (const root of roots) {
    for (const element of root.querySelectorAll("*")) {
      const shadow = mayHost(element) ? shadowRootOf(element) : null;
      yield shadow;
      if (shadow) yield* shadowRoots([shadow]);
    }
  }
}

/**
 * Tell whether a video is shown outside of the page: picture in picture, or in a window that floats over it.
 * @param {HTMLVideoElement} video
 */
export function isFloating(video) {
  const root = /** @type {Document | ShadowRoot} */ (video.getRootNode());
  return video.ownerDocument !== document || root.pictureInPictureElement === video;
}

/** Tell whether an element can have a shadow root. @param {Element} element */
function mayHost(element) {
  const localName = String(element.localName); // of a form, perhaps a field that is called so
  return localName.includes("-") || SHADOW_HOSTS.has(localName);
}

/**
 * Find the parent of an element, out of shadow roots, too. The fields of a form are properties of it, whatever they
 * are called: what lies around a video is asked by way of the prototypes.
 * @param {Element} element
 * @returns {Element | null}
 */
export function parentOf(element) {
  const root = rootOf(element);
  return Reflect.get(Node.prototype, "parentElement", element) ?? (root instanceof ShadowRoot ? root.host : null);
}

/** @param {Element} element */
function rootOf(element) {
  return Node.prototype.getRootNode.call(element);
}

/** Tell whether an element around a video matches. @param {Element} element @param {string} selector */
export function matches(element, selector) {
  return Element.prototype.matches.call(element, selector);
}

/** Tell whether an element is large enough to be watched. @param {Element} element */
export function isLarge({ clientWidth, clientHeight }) {
  return Math.min(clientWidth, clientHeight) >= MIN_SIDE_PX;
}

/**
 * Find where a video is, or will be: some players shrink theirs to nothing until it is played.
 * @param {HTMLVideoElement} video
 * @returns {Element}
 */
export function placeOf(video) {
  const holder = isLarge(video) ? null : parentOf(video);
  const isUnplayed = video.paused && video.currentTime === 0 && !video.loop && video.checkVisibility();
  return isUnplayed && video.currentSrc && holder && holder !== document.body && isLarge(holder) ? holder : video;
}

/**
 * Find what lies at a point, inside shadow roots, too.
 * @param {Document | ShadowRoot} root
 * @param {number} x
 * @param {number} y
 * @returns {Element[]} the uppermost first
 */
export function elementsAt(root, x, y) {
  return root.elementsFromPoint(x, y).flatMap((element) => {
    const own = rootOf(element) === root; // a root tells of its host, too
    const shadow = own && mayHost(element) ? shadowRootOf(element) : null;
    return shadow ? [...elementsAt(shadow, x, y), element] : own ? [element] : [];
  });
}

/**
 * Find the video under a point, also below the controls of a site. Fast, as it is called while the pointer moves.
 * @param {number} x
 * @param {number} y
 */
export function videoAt(x, y) {
  return videoFrom(document, x, y) ?? [...document.getElementsByTagName("video")].find((video) => covers(video, x, y));
}

/** @param {Document | ShadowRoot} root @param {number} x @param {number} y @returns {HTMLVideoElement | undefined} */
function videoFrom(root, x, y) {
  for (const element of root.elementsFromPoint(x, y)) {
    if (element instanceof HTMLVideoElement) return element;
    const own = rootOf(element) === root; // a root tells of its host, too
    const shadow = own && mayHost(element) ? shadowRootOf(element) : null;
    const found = shadow ? videoFrom(shadow, x, y) : undefined;
    if (found) return found;
  }
  return undefined;
}

/**
 * Tell whether a video lies at a point: some players let the pointer pass through theirs.
 * @param {HTMLVideoElement} video
 * @param {number} x
 * @param {number} y
 */
export function covers(video, x, y) {
  const { left, top, right, bottom } = video.getBoundingClientRect();
  return left <= x && x < right && top <= y && y < bottom;
}

/** Tell whether the pointer passes through a video, which no hit test finds then. @param {HTMLVideoElement} video */
export function letsPointerPass(video) {
  return getComputedStyle(video).pointerEvents === "none";
}
