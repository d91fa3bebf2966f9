/**
 * The videos of a page, and which one a person means: hovered, last clicked, playing, largest in view and not covered.
 * One that only decorates the page counts little, however large it is.
 *
 * @typedef {import("./site-urls.js").Hints} Hints
 * @typedef {import("../shared/messages.js").Candidate} Candidate
 *
 * @typedef {object} VideoState what counts in the choice
 * @property {boolean} hovered
 * @property {number} clickedAgoMs
 * @property {boolean} playing
 * @property {boolean} muted
 * @property {boolean} hasControls of the browser
 * @property {number} visibleShare of the window's area that shows it
 * @property {number} opacity 0..1
 * @property {boolean} isDecoration short, without sound and controls, in a loop or over most of the window
 */

import { shadowRootOf } from "../shared/browser.js";
import { parseWebUrl } from "../shared/urls.js";

const MIN_SIDE_PX = 48; // smaller ones are trackers and decoration
const PICTURE_PX = 96;
const MIN_FRAME_PX = 150;
const CLICK_MS = 30_000; // so long after a click the video is probably meant
const DECORATION = 0.05; // what a decoration counts
const DECORATION_SECONDS = 90; // and no longer
const LARGE = 0.5; // share of the window
const FAINT = 0.5; // opacity
const OPAQUE = 0.9;
const GRID = [0.1, 0.5, 0.9]; // of a video's width and height, where it is looked for what lies over it
const OUTSIDE_PX = 24; // so far a poster or controls may reach beyond their video; what reaches further covers it
const MAX_LISTED = 9;
const MAX_REQUESTS = 250; // that browsers note of a page; one more may have been missed
const MANIFESTS_MS = 5000; // so long after the first, a player still loads the manifests of the same clip
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
export function score(state) {
  const { hovered, clickedAgoMs, playing, muted, hasControls, visibleShare, opacity, isDecoration } = state;
  const clicked = clickedAgoMs < CLICK_MS ? 2 : 0;
  const heard = (playing && !muted ? 0.5 : 0) + (hasControls ? 0.2 : 0);
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

/** @returns {{video: HTMLVideoElement, rank: number}[]} large enough to be watched, the most likely first */
function rankedVideos() {
  const large = allVideos().filter((video) => isLarge(placeOf(video)));
  return large.map((video) => ({ video, rank: score(stateOf(video)) })).sort((a, b) => b.rank - a.rank);
}

/** @param {Element} element */
function isLarge({ clientWidth, clientHeight }) {
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

/** @param {HTMLVideoElement} video @returns {VideoState} */
function stateOf(video) {
  const share = visibleShare(placeOf(video).getBoundingClientRect());
  const { muted, controls, loop, autoplay, duration } = video;
  const isBackground = loop || (autoplay && share > LARGE);
  return {
    hovered: video.matches(":hover"),
    clickedAgoMs: performance.now() - (clicks.get(video) ?? -Infinity),
    playing: !video.paused && !video.ended,
    muted: muted || video.volume === 0,
    hasControls: controls,
    visibleShare: share && share * (1 - coveredShare(video)),
    opacity: isBehindModal(video) ? 0 : opacityOf(video),
    isDecoration: isBackground && muted && !controls && !(duration > DECORATION_SECONDS),
  };
}

/**
 * Tell whether something modal or fullscreen hides a video.
 * @param {HTMLVideoElement} video
 */
function isBehindModal(video) {
  const modal = [...document.querySelectorAll(":modal")].at(-1);
  for (let at = modal && /** @type {Element | null} */ (video); at; at = parentOf(at)) if (at === modal) return false;
  return modal !== undefined;
}

/**
 * Tell whether most of a video can be seen, and not only through something.
 * @param {HTMLVideoElement} video
 */
export function isSeen(video) {
  return opacityOf(video) >= FAINT && !isBehindModal(video) && coveredShare(video) < 0.5;
}

/**
 * Look how much of a video in view lies behind something else. Its poster and its controls are no cover, nor is what
 * can be seen through.
 * @param {HTMLVideoElement} video
 */
function coveredShare(video) {
  const box = video.getBoundingClientRect();
  const points = GRID.flatMap((y) => GRID.map((x) => [box.left + x * box.width, box.top + y * box.height]));
  const covers = points.map(([x = 0, y = 0]) => {
    const stack = elementsAt(document, x, y);
    return stack.slice(0, Math.max(0, stack.indexOf(video))).some((element) => isCover(element, box));
  });
  return covers.filter(Boolean).length / points.length;
}

/** @param {Element} element over a video @param {DOMRect} box of the video */
function isCover(element, { left, top, right, bottom }) {
  const { backgroundColor, opacity } = getComputedStyle(element);
  if (Number(opacity) < OPAQUE) return false;
  if (element instanceof HTMLVideoElement) return true;
  const alpha = /^rgba\(.*, ?([\d.]+)\)$/.exec(backgroundColor)?.[1] ?? 1;
  if (Number(alpha) < OPAQUE && !/^(img|iframe|canvas)$/.test(element.localName)) return false;
  const over = element.getBoundingClientRect();
  const outside = Math.max(left - over.left, top - over.top, over.right - right, over.bottom - bottom);
  return outside > OUTSIDE_PX;
}

/** @param {Document | ShadowRoot} root @param {number} x @param {number} y @returns {Element[]} the uppermost first */
function elementsAt(root, x, y) {
  return root.elementsFromPoint(x, y).flatMap((element) => {
    const own = element.getRootNode() === root; // a root tells of its host, too
    const shadow = own && mayHost(element) ? shadowRootOf(element) : null;
    return shadow ? [...elementsAt(shadow, x, y), element] : own ? [element] : [];
  });
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
  return rankedVideos().map(({ video, rank }, place) => ({
    id: idOf(video),
    score: rank,
    title: titleOf(video),
    playing: !video.paused && !video.ended,
    duration: Number.isFinite(video.duration) ? video.duration : 0,
    width: placeOf(video).clientWidth,
    height: placeOf(video).clientHeight,
    picture: place < MAX_LISTED ? pictureOf(video) : null,
    box: boxInTab(video),
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
 * Find what is seen of a video.
 * @param {HTMLVideoElement} video
 * @returns {import("../shared/messages.js").TabBox | null} null in a frame of another site: its place is not known
 */
export function boxInTab(video) {
  /** @type {Window} */
  let view = window;
  let { left, top, right, bottom } = video.getBoundingClientRect();
  for (;;) {
    [left, top] = [Math.max(0, left), Math.max(0, top)];
    [right, bottom] = [Math.min(view.innerWidth, right), Math.min(view.innerHeight, bottom)];
    if (view === window.top) return { left, top, width: right - left, height: bottom - top, tabWidth: view.innerWidth };
    const frame = view.frameElement;
    if (!frame) return null;
    const around = frame.getBoundingClientRect();
    const [x, y] = [around.left + frame.clientLeft, around.top + frame.clientTop];
    [left, top, right, bottom, view] = [left + x, top + y, right + x, bottom + y, view.parent];
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
  const ranked = rankedVideos().map(({ video }) => video);
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
 * Tell whether a page's address can only mean this video: it has no other, and had none before it. Of what script
 * loads, only the manifests tell; where in doubt, it is captured, and no address is sent.
 * @param {HTMLVideoElement} video
 */
function isOnly(video) {
  const others = allVideos().some((one) => one !== video && (one.currentSrc || one.srcObject));
  if (others || replaced.has(video) || video.srcObject) return false; // a call has no address at all
  return !video.currentSrc.startsWith("blob:") || hasOneStream(performance.getEntriesByType("resource"));
}

/**
 * Tell whether a page has loaded the manifests of one clip, and of no other.
 * @param {PerformanceEntryList} requests that the page has noted
 */
function hasOneStream(requests) {
  const manifests = requests.filter(({ name }) => MANIFEST.test(parseWebUrl(name)?.pathname ?? ""));
  const first = new Map(manifests.toReversed().map(({ name, startTime }) => [name, startTime]));
  const times = [...first.values()];
  const folders = new Set(manifests.map(({ name }) => new URL(".", name).href));
  const script = /** @type {HTMLScriptElement | null} */ (document.querySelector("script[src]"));
  const isWhole = requests.length < MAX_REQUESTS && (!script || requests.some(({ name }) => name === script.src));
  return isWhole && folders.size === 1 && Math.max(...times) - Math.min(...times) < MANIFESTS_MS;
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

/**
 * Find the parent of an element, out of shadow roots, too.
 * @param {Element} element
 * @returns {Element | null}
 */
export function parentOf(element) {
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
