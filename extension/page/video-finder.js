/**
 * The videos of a page, and which one a person means: hovered, last clicked, playing, largest in view. One that only
 * decorates the page counts little, however large it is.
 *
 * @typedef {import("./site-urls.js").Hints} Hints
 * @typedef {import("../shared/messages.js").Candidate} Candidate
 *
 * @typedef {object} VideoState what counts in the choice
 * @property {boolean} hovered
 * @property {number} clickedAgoMs
 * @property {boolean} playing
 * @property {boolean} muted
 * @property {number} visibleShare of the window's area that shows it
 * @property {number} opacity 0..1
 * @property {boolean} isDecoration a loop without sound and controls
 */

import { shadowRootOf } from "../shared/browser.js";
import { parseWebUrl } from "../shared/urls.js";

const MIN_SIDE_PX = 48; // smaller ones are trackers and decoration
const PICTURE_PX = 96;
const MIN_FRAME_PX = 150;
const CLICK_MS = 30_000; // so long after a click the video is probably meant
const DECORATION = 0.05; // what a decoration counts
const LARGE = 0.5; // share of the window
const FAINT = 0.5; // opacity
const MAX_LEVELS = 12; // ancestors of a video whose links are collected
const MAX_LINKS = 60;
const MANIFEST = /\.(m3u8|mpd)$/i;
const SHADOW_HOSTS = new Set(
  "article aside blockquote body div footer h1 h2 h3 h4 h5 h6 header main nav p section span".split(" "),
);

/** @type {WeakMap<HTMLVideoElement, number>} */
const ids = new WeakMap();
/** @type {WeakMap<HTMLVideoElement, number>} */
const clicks = new WeakMap();
/** @type {WeakSet<HTMLVideoElement>} */
const replaced = new WeakSet();
let lastId = 0;

/**
 * Score how likely a video is the one that is meant.
 * @param {VideoState} state
 * @returns {number}
 */
export function score({ hovered, clickedAgoMs, playing, muted, visibleShare, opacity, isDecoration }) {
  const clicked = clickedAgoMs < CLICK_MS ? 2 : 0;
  const heard = playing && !muted ? 0.5 : 0;
  const shown = opacity * ((playing ? 1 : 0) + visibleShare * 2);
  const isBehind = isDecoration && (visibleShare > LARGE || opacity < FAINT); // where a pointer is over it anyway
  return (hovered && !isBehind ? 4 : 0) + clicked + heard + (isDecoration ? DECORATION * shown : shown);
}

/**
 * Find every video of the document, shadow roots included.
 * @returns {HTMLVideoElement[]}
 */
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

/**
 * Tell whether an element can have a shadow root.
 * @param {Element} element
 */
function mayHost({ localName }) {
  return localName.includes("-") || SHADOW_HOSTS.has(localName);
}

/** @returns {HTMLVideoElement[]} large enough to be watched, the most likely first */
function rankedVideos() {
  const large = allVideos().filter((video) => Math.min(video.clientWidth, video.clientHeight) >= MIN_SIDE_PX);
  return large.sort((a, b) => score(stateOf(b)) - score(stateOf(a)));
}

/** @param {HTMLVideoElement} video @returns {VideoState} */
function stateOf(video) {
  return {
    hovered: video.matches(":hover"),
    clickedAgoMs: performance.now() - (clicks.get(video) ?? -Infinity),
    playing: !video.paused && !video.ended,
    muted: video.muted || video.volume === 0,
    visibleShare: visibleShare(video.getBoundingClientRect()),
    opacity: opacityOf(video),
    isDecoration: video.loop && video.muted && !video.controls,
  };
}

/** @param {HTMLVideoElement} video */
function opacityOf(video) {
  let opacity = video.checkVisibility({ visibilityProperty: true }) ? 1 : 0;
  for (let at = /** @type {Element | null} */ (video); at && opacity; at = parentOf(at)) {
    opacity *= Number(getComputedStyle(at).opacity);
  }
  return opacity;
}

/** @param {DOMRect} rect */
function visibleShare({ left, top, right, bottom }) {
  const width = Math.min(right, innerWidth) - Math.max(left, 0);
  const height = Math.min(bottom, innerHeight) - Math.max(top, 0);
  return width > 0 && height > 0 ? (width * height) / Math.max(1, innerWidth * innerHeight) : 0;
}

/** @param {HTMLVideoElement} video @returns {number} */
function idOf(video) {
  const id = ids.get(video) ?? ++lastId;
  ids.set(video, id);
  return id;
}

/**
 * List the videos for the background.
 * @returns {Candidate[]} the most likely first
 */
export function listVideos() {
  return rankedVideos().map((video) => ({
    id: idOf(video),
    score: score(stateOf(video)),
    title: titleOf(video),
    playing: stateOf(video).playing,
    duration: Number.isFinite(video.duration) ? video.duration : 0,
    width: video.clientWidth,
    height: video.clientHeight,
    picture: pictureOf(video),
  }));
}

/**
 * Draw a small picture of what a player shows.
 * @param {HTMLVideoElement} video
 * @returns {string | null} data URL; null where the page may not read it, or there is none yet
 */
function pictureOf(video) {
  if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [
    PICTURE_PX,
    Math.round((PICTURE_PX * video.videoHeight) / Math.max(1, video.videoWidth)),
  ];
  try {
    canvas.getContext("2d")?.drawImage(video, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL("image/jpeg", 0.7);
  } catch {
    return null; // of another site
  }
}

/**
 * List the origins of large frames of other sites, in which a player may lie that cannot be looked for.
 * @returns {string[]}
 */
export function listForeignFrames() {
  const large = [...document.querySelectorAll("iframe")].filter(
    ({ clientWidth, clientHeight }) => Math.min(clientWidth, clientHeight) >= MIN_FRAME_PX,
  );
  const origins = large.flatMap(({ src }) => parseWebUrl(src)?.origin ?? []);
  return [...new Set(origins)].filter((origin) => origin !== location.origin);
}

/**
 * Find the video that is meant.
 * @param {import("../shared/messages.js").VideoRef} ref
 * @returns {HTMLVideoElement | undefined}
 */
export function findVideo({ id, src }) {
  const ranked = rankedVideos();
  if (id !== undefined) return ranked.find((video) => idOf(video) === id);
  const same = src ? ranked.filter((video) => video.currentSrc === src || video.src === src) : [];
  return same[0] ?? ranked[0];
}

/**
 * Find the title of a video.
 * @param {HTMLVideoElement} video
 */
export function titleOf(video) {
  const own = video.getAttribute("aria-label") || video.title;
  return (own || navigator.mediaSession?.metadata?.title || document.title).trim().slice(0, 300);
}

/**
 * Collect what the page tells of a video.
 * @param {HTMLVideoElement} video
 * @returns {Hints}
 */
export function collectHints(video) {
  const src = video.currentSrc || video.src || video.querySelector("source")?.src || "";
  return { page: location.href, src, links: linksNear(video), declared: declared(), isOnly: isOnly(video) };
}

/**
 * Tell whether a page's address can only mean this video: it has no other, and had none before it.
 * @param {HTMLVideoElement} video
 */
function isOnly(video) {
  const others = allVideos().filter((one) => one !== video && (one.currentSrc || one.srcObject));
  const requested = performance.getEntriesByType("resource").map(({ name }) => parseWebUrl(name));
  const manifests = requested.flatMap((url) => (url && MANIFEST.test(url.pathname) ? [new URL(".", url).href] : []));
  const isShared = others.length > 0 || replaced.has(video) || new Set(manifests).size > 1;
  return !isShared && !video.srcObject; // a call has no address at all
}

/** Note which players got another source. */
export function watchSources() {
  const note = (/** @type {Event} */ { target }) => target instanceof HTMLVideoElement && replaced.add(target);
  addEventListener("emptied", note, { capture: true, passive: true });
}

/**
 * Collect the links around a video, nearest first.
 * @param {Element} video
 * @returns {string[]}
 */
function linksNear(video) {
  /** @type {Set<string>} */
  const found = new Set();
  let at = parentOf(video);
  for (let level = 0; at && level < MAX_LEVELS && found.size < MAX_LINKS; level++) {
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

/**
 * Collect the addresses that the page declares for itself, the most specific first.
 * @returns {string[]}
 */
function declared() {
  const names = ["og:video:secure_url", "og:video:url", "og:video", "twitter:player", "og:url"];
  const selectors = names.map((name) => `meta[property="${name}"], meta[name="${name}"]`);
  const metas = selectors.map((selector) => document.querySelector(selector)?.getAttribute("content"));
  const canonical = document.querySelector("link[rel=canonical]")?.getAttribute("href");
  const { href } = location;
  return [...metas, canonical].flatMap((url) => (url && URL.canParse(url, href) ? [new URL(url, href).href] : []));
}

/** Note which video was clicked last. */
export function watchClicks() {
  const note = (/** @type {Event} */ event) => {
    const video = event instanceof PointerEvent && videoAt(event.clientX, event.clientY);
    if (video) clicks.set(video, performance.now());
  };
  addEventListener("pointerdown", note, { capture: true, passive: true });
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
    const own = element.getRootNode() === root; // a root tells of its host, too
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
function covers(video, x, y) {
  const { left, top, right, bottom } = video.getBoundingClientRect();
  return left <= x && x < right && top <= y && y < bottom;
}
