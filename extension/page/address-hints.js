/**
 * What a page tells of the address of a video.
 *
 * @import { Hints } from "./site-urls.js"
 */

import { parseWebUrl } from "../shared/urls.js";
import { allVideos, parentOf } from "./video-elements.js";

const MAX_REQUESTS = 250; // that browsers note of a page; one more may have been missed
const MANIFESTS_MS = 5000; // so long after the first, a player still loads the manifests of the same clip
const MAX_LEVELS = 12; // ancestors of a video whose links are collected
const MAX_LINKS = 60;
const MANIFEST = /\.(m3u8|mpd)$/i;

/** @type {WeakSet<HTMLVideoElement>} */
const replaced = new WeakSet();

/** Note which players got another source. */
export function watchSources() {
  const note = (/** @type {Event} */ { target }) => target instanceof HTMLVideoElement && replaced.add(target);
  addEventListener("emptied", note, { capture: true, passive: true });
}

/** Collect what the page tells of a video. @param {HTMLVideoElement} video @returns {Hints} */
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

/** Collect the links around a video, nearest first. @param {Element} video @returns {string[]} */
function linksNear(video) {
  /** @type {Set<string>} */
  const found = new Set();
  let at = parentOf(video);
  for (let level = 0; at && level < MAX_LEVELS && found.size < MAX_LINKS; level++) {
    if (at instanceof HTMLAnchorElement && at.href) found.add(at.href);
    for (const link of [...Element.prototype.querySelectorAll.call(at, "a")].slice(0, MAX_LINKS))
      if (link instanceof HTMLAnchorElement && link.href) found.add(link.href);
    at = parentOf(at);
  }
  return [...found].slice(0, MAX_LINKS);
}

/** Collect the addresses that the page declares for itself, the most specific first. @returns {string[]} */
function declared() {
  const names = ["og:video:secure_url", "og:video:url", "og:video", "twitter:player", "og:url"];
  const selectors = names.map((name) => `meta[property="${name}"], meta[name="${name}"]`);
  const metas = selectors.map((selector) => document.querySelector(selector)?.getAttribute("content"));
  const canonical = document.querySelector("link[rel=canonical]")?.getAttribute("href");
  const { href } = location;
  return [...metas, canonical].flatMap((url) => (url && URL.canParse(url, href) ? [new URL(url, href).href] : []));
}

/** Find the title of a video. @param {HTMLVideoElement} video */
export function titleOf(video) {
  const own = video.getAttribute("aria-label") || video.title;
  return (own || navigator.mediaSession?.metadata?.title || document.title).trim().slice(0, 300);
}
