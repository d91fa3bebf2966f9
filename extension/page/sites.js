/**
 * The address that a Space can fetch for a video, by a table of sites. Pure.
 *
 * @typedef {object} Hints what the page tells of a video
 * @property {string} page address of the document that the video is in
 * @property {string} src of the <video> or its playing <source>; may be blob: or empty
 * @property {string[]} links addresses of the links around the video, nearest first
 * @property {string[]} declared Open Graph and canonical addresses that the page gives for itself
 *
 * @typedef {object} Target
 * @property {string | null} url null: nothing that a Space could fetch, only captured frames can be checked
 * @property {string} site which row, or `media`, `page`, `none`
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
  // https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=42s&list=PL1 -> https://www.youtube.com/watch?v=dQw4w9WgXcQ
  // https://m.youtube.com/shorts/abcdefghijk?feature=share -> https://www.youtube.com/watch?v=abcdefghijk
  // https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ?start=3 -> https://www.youtube.com/watch?v=dQw4w9WgXcQ
  // https://youtu.be/dQw4w9WgXcQ?si=xyz -> https://www.youtube.com/watch?v=dQw4w9WgXcQ
  // https://www.youtube.com/live/dQw4w9WgXcQ -> https://www.youtube.com/watch?v=dQw4w9WgXcQ
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
  // https://x.com/nasa/status/1790000000000000001/video/1?s=20 -> https://x.com/nasa/status/1790000000000000001
  // https://twitter.com/nasa/status/1790000000000000001 -> https://x.com/nasa/status/1790000000000000001
  // https://mobile.twitter.com/i/web/status/1790000000000000001 -> https://x.com/i/status/1790000000000000001
  {
    site: "x",
    host: /(^|\.)(x|twitter)\.com$/,
    feed: true,
    read: (url) => {
      const found = /^\/(\w{1,20})(?:\/web)?\/status(?:es)?\/(\d+)/.exec(url.pathname);
      return found ? `https://x.com/${found[1]}/status/${found[2]}` : null;
    },
  },
  // https://www.tiktok.com/@nasa/video/7300000000001?lang=en -> https://www.tiktok.com/@nasa/video/7300000000001
  // https://www.tiktok.com/embed/v2/7300000000001 -> https://www.tiktok.com/@/video/7300000000001
  // https://vm.tiktok.com/ZMabcdef1/?k=1 -> https://vm.tiktok.com/ZMabcdef1/
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
  // https://www.instagram.com/reel/Cabc_123-XY/?igsh=abc -> https://www.instagram.com/reel/Cabc_123-XY/
  // https://www.instagram.com/nasa/reel/Cabc_123-XY/ -> https://www.instagram.com/reel/Cabc_123-XY/
  // https://www.instagram.com/p/Cabc_123-XY/embed/captioned/ -> https://www.instagram.com/p/Cabc_123-XY/
  {
    site: "instagram",
    host: /(^|\.)instagram\.com$/,
    feed: true,
    read: (url) => {
      const found = /^(?:\/[\w.]+)?\/(p|reels?|tv)\/([\w-]{5,})/.exec(url.pathname);
      return found ? `https://www.instagram.com/${found[1] === "reels" ? "reel" : found[1]}/${found[2]}/` : null;
    },
  },
  // https://www.facebook.com/watch/?v=100000000001&ref=sharing -> https://www.facebook.com/watch/?v=100000000001
  // https://www.facebook.com/nasa/videos/100000000001/?__tn__=F -> https://www.facebook.com/watch/?v=100000000001
  // https://www.facebook.com/nasa/videos/a-title/100000000001/ -> https://www.facebook.com/watch/?v=100000000001
  // https://m.facebook.com/reel/100000000001 -> https://www.facebook.com/reel/100000000001
  // https://fb.watch/abcDEF12/?mibextid=1 -> https://fb.watch/abcDEF12/
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
  // https://www.reddit.com/r/space/comments/1abcde/a_title/?x=1 -> https://www.reddit.com/r/space/comments/1abcde/
  // https://old.reddit.com/r/space/comments/1abcde/a_title/kxyz -> https://www.reddit.com/r/space/comments/1abcde/
  // https://v.redd.it/abcdef123456 -> https://v.redd.it/abcdef123456
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
  // https://vimeo.com/76979871?share=copy#t=1 -> https://vimeo.com/76979871
  // https://vimeo.com/channels/staffpicks/76979871 -> https://vimeo.com/76979871
  // https://vimeo.com/76979871/0a1b2c3d4e -> https://vimeo.com/76979871/0a1b2c3d4e
  // https://player.vimeo.com/video/76979871?h=0a1b2c3d4e&autoplay=1 -> https://vimeo.com/76979871/0a1b2c3d4e
  {
    site: "vimeo",
    host: /(^|\.)vimeo\.com$/,
    read: (url) => {
      const found = /^\/(?:[\w/-]*?\/)?(\d{5,})(?:\/([0-9a-f]{8,}))?(?:\/|$)/.exec(url.pathname);
      const secret = found?.[2] ?? url.searchParams.get("h");
      return found ? `https://vimeo.com/${found[1]}${secret && /^[0-9a-f]+$/.test(secret) ? `/${secret}` : ""}` : null;
    },
  },
  // https://www.dailymotion.com/video/x8abcde?playlist=x1 -> https://www.dailymotion.com/video/x8abcde
  // https://geo.dailymotion.com/player/xyz.html?video=x8abcde -> https://www.dailymotion.com/video/x8abcde
  // https://www.dailymotion.com/embed/video/x8abcde -> https://www.dailymotion.com/video/x8abcde
  // https://dai.ly/x8abcde -> https://www.dailymotion.com/video/x8abcde
  {
    site: "dailymotion",
    host: /(^|\.)(dailymotion\.com|dai\.ly)$/,
    read: (url) => {
      const path = /(?:^|\/video)\/(x[0-9a-z]+)/.exec(url.pathname)?.[1];
      const id = path ?? url.searchParams.get("video");
      return id && /^x[0-9a-z]+$/.test(id) ? `https://www.dailymotion.com/video/${id}` : null;
    },
  },
  // https://bsky.app/profile/nasa.gov/post/3kabcdefghi2z?ref=1 -> https://bsky.app/profile/nasa.gov/post/3kabcdefghi2z
  // https://bsky.app/profile/did:plc:abc1/post/3kabcdef -> https://bsky.app/profile/did:plc:abc1/post/3kabcdef
  // https://bsky.app/profile/did%3Aplc%3Aabc1/post/3kabcdef -> https://bsky.app/profile/did:plc:abc1/post/3kabcdef
  {
    site: "bluesky",
    host: /^(\w+\.)?bsky\.app$/,
    feed: true,
    read: (url) => {
      const found = /^\/profile\/((?:[\w.:-]|%3A)+)\/post\/(\w+)/i.exec(url.pathname);
      return found ? `https://bsky.app/profile/${found[1]?.replace(/%3A/gi, ":")}/post/${found[2]}` : null;
    },
  },
  // https://t.me/durov/123?single -> https://t.me/durov/123
  // https://t.me/s/durov/123 -> https://t.me/durov/123
  {
    site: "telegram",
    host: /^(t|telegram)\.me$/,
    feed: true,
    read: (url) => {
      const found = /^\/(?:s\/)?(\w{4,})\/(\d+)/.exec(url.pathname);
      return found ? `https://t.me/${found[1]}/${found[2]}` : null;
    },
  },
  // https://web.telegram.org/k/#@durov -> null
  // https://web.telegram.org/a/#-1001234567890 -> null
  { site: "telegram web", host: /^web\.telegram\.org$/, closed: true, read: () => null },
  // https://web.whatsapp.com/ -> null
  { site: "whatsapp web", host: /^web\.whatsapp\.com$/, closed: true, read: () => null },
  // https://mastodon.social/@Gargron/112345678901234567 -> https://mastodon.social/@Gargron/112345678901234567
  // https://fosstodon.org/@me@m.social/1123456789012345/embed -> https://fosstodon.org/@me@m.social/1123456789012345
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

/**
 * Resolve what is sent to the Space for a video.
 * @param {Hints} hints
 * @returns {Target}
 */
export function resolveTarget(hints) {
  const page = webUrl(hints.page);
  const src = webUrl(hints.src);
  const file = src && stripTracking(src.href);
  const rows = page ? ROWS.filter((row) => row.host.test(page.hostname)) : [];
  for (const row of rows) {
    if (row.closed) return { url: null, site: row.site };
    const found = readRow(row, hints);
    if (found) return row.media && file ? { url: file, site: row.site } : { url: found, site: row.site };
  }
  if (file) return { url: file, site: "media" };
  return declared(hints) ?? (page ? { url: stripTracking(page.href), site: "page" } : { url: null, site: "none" });
}

/**
 * Resolve the canonical address behind a link.
 * @param {string} href
 * @returns {Target}
 */
export function resolveLink(href) {
  return resolveTarget({ page: href, src: "", links: [], declared: [] });
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
    if (row) return { url: row.read(url), site: row.site };
    if (MEDIA_FILE.test(url.pathname)) return { url: stripTracking(url.href), site: "media" };
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
