/**
 * What is sent for a video: the address that the Space can fetch, by a table of sites. Pure.
 *
 * @typedef {object} Hints what the page says of a video
 * @property {string} page address of the document that the video is in
 * @property {string} src of the <video> or its playing <source>; may be blob: or empty
 * @property {string[]} links addresses of the links around the video, nearest first
 * @property {string[]} declared Open Graph and canonical addresses that the page gives for itself
 *
 * @typedef {object} Target
 * @property {string | null} url null: nothing that a Space could fetch, only pictures taken here can be checked
 * @property {string} site which row, or `media`, `page`, `none`
 *
 * @typedef {object} Row
 * @property {string} site
 * @property {RegExp} host
 * @property {(url: URL) => string | null} read canonical address, or null when the URL shows no single video
 * @property {boolean} [feed] many videos a page: the link nearest to the video says which; the page itself comes last
 * @property {boolean} [media] a plain media file is easier to fetch than the page around it
 * @property {boolean} [closed] only a signed-in person sees it: never send the page
 */

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
      const id = url.hostname.endsWith("youtu.be") ? url.pathname.slice(1) : (url.searchParams.get("v") ?? youtubePath(url));
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
  // https://www.tiktok.com/@nasa/video/7300000000000000001?lang=en -> https://www.tiktok.com/@nasa/video/7300000000000000001
  // https://www.tiktok.com/embed/v2/7300000000000000001 -> https://www.tiktok.com/@/video/7300000000000000001
  // https://vm.tiktok.com/ZMabcdef1/?k=1 -> https://vm.tiktok.com/ZMabcdef1/
  {
    site: "tiktok",
    host: /(^|\.)tiktok\.com$/,
    feed: true,
    read: (url) => {
      if (/^(vm|vt)\./.test(url.hostname)) return plain(url);
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
  // https://www.facebook.com/watch/?v=1000000000000001&ref=sharing -> https://www.facebook.com/watch/?v=1000000000000001
  // https://www.facebook.com/nasa/videos/1000000000000001/?__tn__=F -> https://www.facebook.com/watch/?v=1000000000000001
  // https://www.facebook.com/nasa/videos/a-title/1000000000000001/ -> https://www.facebook.com/watch/?v=1000000000000001
  // https://m.facebook.com/reel/1000000000000001 -> https://www.facebook.com/reel/1000000000000001
  // https://fb.watch/abcDEF12/?mibextid=1 -> https://fb.watch/abcDEF12/
  {
    site: "facebook",
    host: /(^|\.)(facebook\.com|fb\.watch)$/,
    feed: true,
    read: (url) => {
      if (url.hostname.endsWith("fb.watch")) return url.pathname.length > 2 ? plain(url) : null;
      const reel = /^\/reel\/(\d+)/.exec(url.pathname);
      if (reel) return `https://www.facebook.com/reel/${reel[1]}`;
      const id = /\/videos\/(?:[^/]+\/)?(\d+)/.exec(url.pathname)?.[1] ?? url.searchParams.get("v");
      return id && /^\d+$/.test(id) ? `https://www.facebook.com/watch/?v=${id}` : null;
    },
  },
  // https://www.reddit.com/r/space/comments/1abcde/a_title/?utm_source=share -> https://www.reddit.com/r/space/comments/1abcde/
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
  // https://bsky.app/profile/did:plc:abc123/post/3kabcdefghi2z -> https://bsky.app/profile/did:plc:abc123/post/3kabcdefghi2z
  // https://bsky.app/profile/did%3Aplc%3Aabc123/post/3kabcdefghi2z -> https://bsky.app/profile/did:plc:abc123/post/3kabcdefghi2z
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
  // https://fosstodon.org/@user@mastodon.social/112345678901234567/embed -> https://fosstodon.org/@user@mastodon.social/112345678901234567
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
const TRACKING = [
  /^utm_/,
  /^(fbclid|gclid|dclid|gbraid|wbraid|msclkid|twclid|yclid|ttclid|igsh|igshid|mibextid|ref_src|ref_url)$/,
  /^(_hsenc|_hsmi|mc_cid|mc_eid|__tn__|__cft__.*|cmpid|share_id)$/,
];

/** @param {Hints} hints @returns {Target} */
export function toTarget(hints) {
  const page = webUrl(hints.page);
  const src = webUrl(hints.src);
  const file = src && cleanUrl(src.href);
  const rows = page ? ROWS.filter((row) => row.host.test(page.hostname)) : [];
  for (const row of rows) {
    if (row.closed) return { url: null, site: row.site };
    const found = readRow(row, hints);
    if (found) return row.media && file ? { url: file, site: row.site } : { url: found, site: row.site };
  }
  if (file) return { url: file, site: "media" };
  return declared(hints) ?? (page ? { url: cleanUrl(page.href), site: "page" } : { url: null, site: "none" });
}

/** The canonical address behind a link. @param {string} href @returns {Target} */
export function linkTarget(href) {
  return toTarget({ page: href, src: "", links: [], declared: [] });
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

/** What the page says of itself, where it is a video of a known site. @param {Hints} hints @returns {Target | null} */
function declared(hints) {
  for (const address of hints.declared) {
    const url = webUrl(address);
    if (!url) continue;
    const row = ROWS.find((one) => one.host.test(url.hostname) && one.read(url));
    if (row) return { url: row.read(url), site: row.site };
    if (MEDIA_FILE.test(url.pathname)) return { url: cleanUrl(url.href), site: "media" };
  }
  return null;
}

/** Without fragment and without the fields that say who shared it. @param {string} href */
export function cleanUrl(href) {
  const url = new URL(href);
  url.hash = "";
  // by hand: Firefox lets no content script iterate URLSearchParams; what is kept stays spelled as it was, too
  const pairs = url.search.slice(1).split("&");
  url.search = pairs.filter((pair) => pair && !TRACKING.some((pattern) => pattern.test(pair.split("=")[0] ?? ""))).join("&");
  return url.href;
}

/** @param {string} href @returns {URL | null} http and https only, without a login */
function webUrl(href) {
  const url = URL.canParse(href) ? new URL(href) : null;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:")) return null;
  url.username = url.password = "";
  return url;
}

/** @param {URL} url */
function youtubePath(url) {
  return /^\/(?:shorts|embed|live|v)\/([\w-]{11})/.exec(url.pathname)?.[1] ?? "";
}

/** @param {URL} url */
function plain(url) {
  return `https://${url.hostname}${url.pathname}`;
}
