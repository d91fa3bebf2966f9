/**
 * Finds the <video> a person means: hovered, last clicked, playing, largest in view.
 *
 * @typedef {import("./sites.js").Hints} Hints
 *
 * @typedef {object} Candidate a video as others may hear of it
 * @property {number} id in its frame
 * @property {number} score
 * @property {string} title
 * @property {boolean} playing
 * @property {number} duration seconds; 0: unknown
 * @property {number} width px in the page
 * @property {number} height px in the page
 *
 * @typedef {object} Looks what counts in the choice
 * @property {boolean} hovered
 * @property {number} clickedAgoMs
 * @property {boolean} playing
 * @property {boolean} muted
 * @property {number} visibleShare of the window's area that shows it
 */

import { shadowRootOf } from "../shared/browser.js";

const MIN_SIDE_PX = 48; // smaller ones are trackers and decoration
const CLICK_MS = 30_000; // so long a click tells what is meant
const NEAR_LEVELS = 12; // ancestors of a video whose links are looked at
const MAX_LINKS = 60;
const HOSTS = new Set("article aside blockquote body div footer h1 h2 h3 h4 h5 h6 header main nav p section span".split(" "));

/** @type {WeakMap<HTMLVideoElement, number>} */
const ids = new WeakMap();
/** @type {WeakMap<HTMLVideoElement, number>} */
const clicks = new WeakMap();
let lastId = 0;

/** @param {Looks} looks @returns {number} */
export function score({ hovered, clickedAgoMs, playing, muted, visibleShare }) {
  const clicked = clickedAgoMs < CLICK_MS ? 2 : 0;
  return (hovered ? 4 : 0) + clicked + (playing ? 1 : 0) + (playing && !muted ? 0.5 : 0) + visibleShare * 2;
}

/** Every video of the document, shadow roots included. @returns {HTMLVideoElement[]} */
export function allVideos() {
  return roots(document).flatMap((root) => [...root.querySelectorAll("video")]);
}

/** @param {Document | ShadowRoot} root @returns {(Document | ShadowRoot)[]} */
function roots(root) {
  const inside = [...root.querySelectorAll("*")].flatMap((element) => {
    const shadow = mayHost(element) ? shadowRootOf(element) : null;
    return shadow ? roots(shadow) : [];
  });
  return [root, ...inside];
}

/** Only these can have a shadow root. @param {Element} element */
function mayHost({ localName }) {
  return localName.includes("-") || HOSTS.has(localName);
}

/** @returns {HTMLVideoElement[]} large enough to be looked at, most probably meant first */
export function rankedVideos() {
  const seen = allVideos().filter((video) => Math.min(video.clientWidth, video.clientHeight) >= MIN_SIDE_PX);
  return seen.sort((a, b) => score(looks(b)) - score(looks(a)));
}

/** @param {HTMLVideoElement} video @returns {Looks} */
function looks(video) {
  return {
    hovered: video.matches(":hover"),
    clickedAgoMs: performance.now() - (clicks.get(video) ?? -Infinity),
    playing: !video.paused && !video.ended,
    muted: video.muted || video.volume === 0,
    visibleShare: visibleShare(video.getBoundingClientRect()),
  };
}

/** @param {DOMRect} rect */
function visibleShare({ left, top, right, bottom }) {
  const width = Math.min(right, innerWidth) - Math.max(left, 0);
  const height = Math.min(bottom, innerHeight) - Math.max(top, 0);
  return width > 0 && height > 0 ? (width * height) / Math.max(1, innerWidth * innerHeight) : 0;
}

/** @param {HTMLVideoElement} video @returns {number} */
export function idOf(video) {
  const id = ids.get(video) ?? ++lastId;
  ids.set(video, id);
  return id;
}

/** @returns {Candidate[]} */
export function candidates() {
  return rankedVideos().map((video) => ({
    id: idOf(video),
    score: score(looks(video)),
    title: titleOf(video),
    playing: looks(video).playing,
    duration: Number.isFinite(video.duration) ? video.duration : 0,
    width: video.clientWidth,
    height: video.clientHeight,
  }));
}

/** @param {{id?: number, src?: string}} wanted @returns {HTMLVideoElement | undefined} */
export function findVideo({ id, src }) {
  const ranked = rankedVideos();
  if (id !== undefined) return ranked.find((video) => idOf(video) === id);
  const same = src ? ranked.filter((video) => video.currentSrc === src || video.src === src) : [];
  return same[0] ?? ranked[0];
}

/** @param {HTMLVideoElement} video */
export function titleOf(video) {
  return (video.getAttribute("aria-label") || video.title || navigator.mediaSession?.metadata?.title || document.title).trim().slice(0, 300);
}

/** @param {HTMLVideoElement} video @returns {Hints} */
export function hintsOf(video) {
  const src = video.currentSrc || video.src || video.querySelector("source")?.src || "";
  return { page: location.href, src, links: linksNear(video), declared: declared() };
}

/** Links around the video, nearest first. @param {Element} video @returns {string[]} */
function linksNear(video) {
  /** @type {Set<string>} */
  const found = new Set();
  let at = parentOf(video);
  for (let level = 0; at && level < NEAR_LEVELS && found.size < MAX_LINKS; level++) {
    if (at instanceof HTMLAnchorElement && at.href) found.add(at.href);
    for (const link of [...at.querySelectorAll("a")].slice(0, MAX_LINKS)) if (link.href) found.add(link.href);
    at = parentOf(at);
  }
  return [...found].slice(0, MAX_LINKS);
}

/** @param {Element} element @returns {Element | null} */
function parentOf(element) {
  const root = element.getRootNode();
  return element.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
}

/** What the page says of itself, most telling first. @returns {string[]} */
function declared() {
  const names = ["og:video:secure_url", "og:video:url", "og:video", "twitter:player", "og:url"];
  const metas = names.map((name) => document.querySelector(`meta[property="${name}"], meta[name="${name}"]`)?.getAttribute("content"));
  const canonical = document.querySelector("link[rel=canonical]")?.getAttribute("href");
  return [...metas, canonical].flatMap((address) => (address && URL.canParse(address, location.href) ? [new URL(address, location.href).href] : []));
}

/** Remember what was clicked. @param {AbortSignal} signal */
export function watchClicks(signal) {
  const note = (/** @type {Event} */ event) => {
    const video = event instanceof PointerEvent && videoAt(event.clientX, event.clientY);
    if (video) clicks.set(video, performance.now());
  };
  addEventListener("pointerdown", note, { capture: true, passive: true, signal });
}

/**
 * The video under a point, also below the controls that a site lays over it. Cheap: it is asked as the pointer moves.
 *
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
    const own = element.getRootNode() === root; // a root tells of its host, too
    const shadow = own && mayHost(element) ? shadowRootOf(element) : null;
    const found = shadow ? videoFrom(shadow, x, y) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** Some players let the pointer through their video, which then is at no point. @param {HTMLVideoElement} video @param {number} x @param {number} y */
function covers(video, x, y) {
  const { left, top, right, bottom } = video.getBoundingClientRect();
  return left <= x && x < right && top <= y && y < bottom;
}
