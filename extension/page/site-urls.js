/**
 * The address that a Space can fetch for a video, by a table of sites. Pure.
 *
 * @typedef {object} Hints what the page tells of a video
 * @property {string} page address of the document that the video is in
 * @property {string} src of the <video> or its playing <source>; may be blob: or empty
 * @property {string[]} links addresses of the links around the video, nearest first
 * @property {string[]} declared Open Graph and canonical addresses that the page gives for itself
 * @property {boolean} isOnly the page has, and had, no other video
 *
 * @typedef {object} Target
 * @property {string | null} url null: nothing that a Space could fetch, only captured frames can be checked
 * @property {string} site which row, or `media`, `page`, `none`
 * @property {boolean} isOwn the address stands for this one video, not for the page around it
 * @property {boolean} isFile it is what the player plays
 *
 * @typedef {object} Row
 * @property {string} site
 * @property {RegExp} host
 * @property {(url: URL) => string | null} read canonical address, or null when the URL shows no single video
 * @property {boolean} [feed] many videos a page: the link nearest to the video says which; the page itself comes last
 * @property {boolean} [media] a withoutQuery media file is easier to fetch than the page around it
 * @property {boolean} [closed] only a signed-in person sees it: never send the page
 */

import { parseWebUrl, stripTracking } from "../shared/urls.js";

/** @type {Row[]} */
const ROWS = [
  {
    site: "youtube",
    host: /(^|\.)(youtube(-nocookie)?\.com|youtu\.be)$/,
    read: (url) => {
      const id = url.hostname.endsWith("youtu.be")
        ? url.pathname.slice(1)
        : (url.searchParams.get("v") ?? youtubePath(url));
      return /^[\w-]{11}$/.test(id) ? `https://www.youtube.com/watch?v=${id}` : null;
    },
  },
  {
    site: "x",
    host: /(^|\.)(x|twitter)\.com$/,
    feed: true,
    read: (url) => {
      const found = /^\/(\w{1,20})(?:\/web)?\/status(?:es)?\/(\d+)/.exec(url.pathname);
      return found ? `https://x.com/${found[1]}/status/${found[2]}` : null;
    },
  },
  {
    site: "tiktok",
    host: /(^|\.)tiktok\.com$/,
    feed: true,
    read: (url) => {
      if (/^(vm|vt)\./.test(url.hostname)) return withoutQuery(url);
      const found = /^\/(@[\w.-]*)\/video\/(\d+)/.exec(url.pathname);
      const embedded = /^\/(?:embed(?:\/v\d)?|player\/v\d)\/(\d+)/.exec(url.pathname);
      if (embedded) return `https://www.tiktok.com/@/video/${embedded[1]}`;
      return found ? `https://www.tiktok.com/${found[1]}/video/${found[2]}` : null;
    },
  },
  {
    site: "instagram",
    host: /(^|\.)instagram\.com$/,
    feed: true,
    read: (url) => {
      const found = /^(?:\/[\w.]+)?\/(p|reels?|tv)\/([\w-]{5,})/.exec(url.pathname);
      return found ? `https://www.instagram.com/${found[1] === "reels" ? "reel" : found[1]}/${found[2]}/` : null;
    },
  },
  {
    site: "facebook",
    host: /(^|\.)(facebook\.com|fb\.watch)$/,
    feed: true,
    read: (url) => {
      if (url.hostname.endsWith("fb.watch")) return url.pathname.length > 2 ? withoutQuery(url) : null;
      const reel = /^\/reel\/(\d+)/.exec(url.pathname);
      if (reel) return `https://www.facebook.com/reel/${reel[1]}`;
      const id = /\/videos\/(?:[^/]+\/)?(\d+)/.exec(url.pathname)?.[1] ?? url.searchParams.get("v");
      return id && /^\d+$/.test(id) ? `https://www.facebook.com/watch/?v=${id}` : null;
    },
  },
  {
    site: "reddit",
    host: /(^|\.)(reddit\.com|v\.redd\.it)$/,
    feed: true,
    read: (url) => {
      const file = url.hostname === "v.redd.it" ? /^\/(\w+)/.exec(url.pathname) : null;
      if (file) return `https://v.redd.it/${file[1]}`;
      const found = /^\/((?:r|user)\/[\w-]+)\/comments\/(\w+)/.exec(url.pathname);
      return found ? `https://www.reddit.com/${found[1]}/comments/${found[2]}/` : null;
    },
  },
  {
    site: "vimeo",
    host: /(^|\.)vimeo\.com$/,
    read: (url) => {
      const found = /^\/(?:[\w/-]*?\/)?(\d{5,})(?:\/([0-9a-f]{8,}))?(?:\/|$)/.exec(url.pathname);
      const secret = found?.[2] ?? url.searchParams.get("h");
      return found ? `https://vimeo.com/${found[1]}${secret && /^[0-9a-f]+$/.test(secret) ? `/${secret}` : ""}` : null;
    },
  },
  {
    site: "dailymotion",
    host: /(^|\.)(dailymotion\.com|dai\.ly)$/,
    read: (url) => {
      const path = /(?:^|\/video)\/(x[0-9a-z]+)/.exec(url.pathname)?.[1];
      const id = path ?? url.searchParams.get("video");
      return id && /^x[0-9a-z]+$/.test(id) ? `https://www.dailymotion.com/video/${id}` : null;
    },
  },
  {
    site: "bluesky",
    host: /^(\w+\.)?bsky\.app$/,
    feed: true,
    read: (url) => {
      const found = /^\/profile\/((?:[\w.:-]|%3A)+)\/post\/(\w+)/i.exec(url.pathname);
      return found ? `https://bsky.app/profile/${found[1]?.replace(/%3A/gi, ":")}/post/${found[2]}` : null;
    },
  },
  {
    site: "telegram",
    host: /^(t|telegram)\.me$/,
    feed: true,
    read: (url) => {
      const found = /^\/(?:s\/)?(\w{4,})\/(\d+)/.exec(url.pathname);
      return found ? `https://t.me/${found[1]}/${found[2]}` : null;
    },
  },
  { site: "telegram web", host: /^web\.telegram\.org$/, closed: true, read: () => null },
  { site: "whatsapp web", host: /^web\.whatsapp\.com$/, closed: true, read: () => null },
  {
    site: "mastodon",
    host: /./,
    feed: true,
    media: true,
    read: (url) => {
      const found = /^\/(@\w[\w.-]*(?:@[\w.-]+)?)\/(\d{15,20})(?:\/|$)/.exec(url.pathname);
      return found ? `${url.origin}/${found[1]}/${found[2]}` : null;
    },
  },
];

const MEDIA_FILE = /\.(mp4|m4v|mov|webm|mkv|ogv|m3u8|mpd)$/i;

/** Resolve what is sent to the Space for a video. @param {Hints} hints @returns {Target} */
export function resolveTarget(hints) {
  const page = webUrl(hints.page);
  const src = webUrl(hints.src);
  const file = src && stripTracking(src.href);
  const rows = page ? ROWS.filter((row) => row.host.test(page.hostname)) : [];
  for (const row of rows) {
    if (row.closed) return toTarget(null, row.site);
    const found = readRow(row, hints);
    if (found) return row.media && file ? toTarget(file, row.site, "file") : toTarget(found, row.site, "own");
  }
  if (file) return toTarget(file, "media", "file");
  if (!hints.isOnly) return toTarget(null, "none");
  return declared(hints) ?? (page ? toTarget(stripTracking(page.href), "page") : toTarget(null, "none"));
}

/** @param {string | null} url @param {string} site @param {"own" | "file" | ""} [kind] @returns {Target} */
function toTarget(url, site, kind = "") {
  return { url, site, isOwn: kind !== "", isFile: kind === "file" };
}

/** Resolve the canonical address behind a link. @param {string} href @returns {Target} */
export function resolveLink(href) {
  return resolveTarget({ page: href, src: "", links: [], declared: [], isOnly: true });
}

/** @param {Row} row @param {Hints} hints @returns {string | null} */
function readRow(row, hints) {
  const addresses = row.feed ? [...hints.links, hints.page] : [hints.page, ...hints.links];
  for (const address of addresses) {
    const url = webUrl(address);
    const found = url && row.host.test(url.hostname) ? row.read(url) : null;
    if (found) return found;
  }
  return null;
}

/**
 * Resolve what the page declares for itself, where it is a video of a known site.
 * @param {Hints} hints
 * @returns {Target | null}
 */
function declared(hints) {
  for (const address of hints.declared) {
    const url = webUrl(address);
    if (!url) continue;
    const row = ROWS.find((one) => one.host.test(url.hostname) && one.read(url));
    if (row) return toTarget(row.read(url), row.site);
    if (MEDIA_FILE.test(url.pathname)) return toTarget(stripTracking(url.href), "media");
  }
  return null;
}

/** @param {string} href @returns {URL | null} http and https only, without a login */
function webUrl(href) {
  const url = parseWebUrl(href);
  if (url) url.username = url.password = "";
  return url;
}

/** @param {URL} url */
function youtubePath(url) {
  return /^\/(?:shorts|embed|live|v)\/([\w-]{11})/.exec(url.pathname)?.[1] ?? "";
}

/** @param {URL} url */
function withoutQuery(url) {
  return `https://${url.hostname}${url.pathname}`;
}
