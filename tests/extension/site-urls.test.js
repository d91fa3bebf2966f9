import assert from "node:assert/strict";
import test from "node:test";

import { resolveLink, resolveTarget } from "../../extension/page/site-urls.js";

/** @type {[string, string | null][]} what a page or link may be -> what is sent */
const EXAMPLES = [
  ["https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=42s&list=PL1", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"],
  ["https://m.youtube.com/shorts/abcdefghijk?feature=share", "https://www.youtube.com/watch?v=abcdefghijk"],
  ["https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ?start=3", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"],
  ["https://youtu.be/dQw4w9WgXcQ?si=xyz", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"],
  ["https://www.youtube.com/live/dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"],
  ["https://x.com/nasa/status/1790000000000000001/video/1?s=20", "https://x.com/nasa/status/1790000000000000001"],
  ["https://twitter.com/nasa/status/1790000000000000001", "https://x.com/nasa/status/1790000000000000001"],
  ["https://mobile.twitter.com/i/web/status/1790000000000000001", "https://x.com/i/status/1790000000000000001"],
  ["https://www.tiktok.com/@nasa/video/7300000000001?lang=en", "https://www.tiktok.com/@nasa/video/7300000000001"],
  ["https://www.tiktok.com/embed/v2/7300000000001", "https://www.tiktok.com/@/video/7300000000001"],
  ["https://vm.tiktok.com/ZMabcdef1/?k=1", "https://vm.tiktok.com/ZMabcdef1/"],
  ["https://www.instagram.com/reel/Cabc_123-XY/?igsh=abc", "https://www.instagram.com/reel/Cabc_123-XY/"],
  ["https://www.instagram.com/nasa/reel/Cabc_123-XY/", "https://www.instagram.com/reel/Cabc_123-XY/"],
  ["https://www.instagram.com/p/Cabc_123-XY/embed/captioned/", "https://www.instagram.com/p/Cabc_123-XY/"],
  ["https://www.facebook.com/watch/?v=100000000001&ref=sharing", "https://www.facebook.com/watch/?v=100000000001"],
  ["https://www.facebook.com/nasa/videos/100000000001/?__tn__=F", "https://www.facebook.com/watch/?v=100000000001"],
  ["https://www.facebook.com/nasa/videos/a-title/100000000001/", "https://www.facebook.com/watch/?v=100000000001"],
  ["https://m.facebook.com/reel/100000000001", "https://www.facebook.com/reel/100000000001"],
  ["https://fb.watch/abcDEF12/?mibextid=1", "https://fb.watch/abcDEF12/"],
  ["https://www.reddit.com/r/space/comments/1abcde/a_title/?x=1", "https://www.reddit.com/r/space/comments/1abcde/"],
  ["https://old.reddit.com/r/space/comments/1abcde/a_title/kxyz", "https://www.reddit.com/r/space/comments/1abcde/"],
  ["https://v.redd.it/abcdef123456", "https://v.redd.it/abcdef123456"],
  ["https://vimeo.com/76979871?share=copy#t=1", "https://vimeo.com/76979871"],
  ["https://vimeo.com/channels/staffpicks/76979871", "https://vimeo.com/76979871"],
  ["https://vimeo.com/76979871/0a1b2c3d4e", "https://vimeo.com/76979871/0a1b2c3d4e"],
  ["https://player.vimeo.com/video/76979871?h=0a1b2c3d4e&autoplay=1", "https://vimeo.com/76979871/0a1b2c3d4e"],
  ["https://www.dailymotion.com/video/x8abcde?playlist=x1", "https://www.dailymotion.com/video/x8abcde"],
  ["https://geo.dailymotion.com/player/xyz.html?video=x8abcde", "https://www.dailymotion.com/video/x8abcde"],
  ["https://www.dailymotion.com/embed/video/x8abcde", "https://www.dailymotion.com/video/x8abcde"],
  ["https://dai.ly/x8abcde", "https://www.dailymotion.com/video/x8abcde"],
  [
    "https://bsky.app/profile/nasa.gov/post/3kabcdefghi2z?ref=1",
    "https://bsky.app/profile/nasa.gov/post/3kabcdefghi2z",
  ],
  ["https://bsky.app/profile/did:plc:abc1/post/3kabcdef", "https://bsky.app/profile/did:plc:abc1/post/3kabcdef"],
  ["https://bsky.app/profile/did%3Aplc%3Aabc1/post/3kabcdef", "https://bsky.app/profile/did:plc:abc1/post/3kabcdef"],
  ["https://t.me/durov/123?single", "https://t.me/durov/123"],
  ["https://t.me/s/durov/123", "https://t.me/durov/123"],
  ["https://web.telegram.org/k/#@durov", null],
  ["https://web.telegram.org/a/#-1001234567890", null],
  ["https://web.whatsapp.com/", null],
  ["https://mastodon.social/@Gargron/112345678901234567", "https://mastodon.social/@Gargron/112345678901234567"],
  ["https://fosstodon.org/@me@m.social/1123456789012345/embed", "https://fosstodon.org/@me@m.social/1123456789012345"],
];

/** @param {Partial<import("../../extension/page/site-urls.js").Hints>} hints */
const target = (hints) =>
  resolveTarget({ page: "https://example.com/a", src: "", links: [], declared: [], isOnly: true, ...hints });

for (const [from, to] of EXAMPLES) {
  test(`${from} is sent as ${to}`, () => {
    assert.equal(resolveLink(from).url, to);
    if (to) assert.equal(resolveLink(to).url, to, "a canonical address is its own");
  });
}

const youtube = "https://www.youtube.com/watch?v=aaaaaaaaaaa";
const src = "blob:https://example.com/1"; // a stream of the page's own making
const mastodon = "https://mastodon.social/@Gargron/112345678901234567";
const feed = ["https://x.com/nasa", "https://x.com/nasa/status/2/photo/1", "https://x.com/esa/status/3"];
const [m3u8, mp4, post] = ["https://example.com/v.m3u8", "https://files.example/v.mp4", "https://t.me/durov/123"];

/** @type {[string, Partial<import("../../extension/page/site-urls.js").Hints>, string | null, boolean?][]} */
const TARGETS = [
  ["in a feed the nearest link", { page: "https://x.com/home", links: feed, src }, "https://x.com/nasa/status/2"],
  ["the page before links to others", { page: youtube, links: [youtube.replace("aaa", "bbb")] }, youtube],
  ["a post as its plain file", { page: mastodon, src: mp4 }, mp4],
  ["or as the post", { page: mastodon, src }, mastodon],
  ["a stream as what is declared", { src, declared: ["https://www.youtube.com/embed/aaaaaaaaaaa"] }, youtube],
  ["also as a file", { src, declared: [m3u8] }, m3u8],
  ["or as the page", { src, page: "https://example.com/a?id=1&fbclid=2#top" }, "https://example.com/a?id=1"],
  ["not what may stand for another video", { src, isOnly: false }, null, false],
  ["nor what is declared beside others", { src, isOnly: false, declared: [m3u8] }, null, false],
  ["the only one", { src }, "https://example.com/a", false],
  ["unless it names a single one", { src, isOnly: false, page: youtube }, youtube, true],
  ["or is a file", { src: mp4, isOnly: false }, mp4, true],
  ["a private conversation never", { page: "https://web.telegram.org/k/#1", links: [post], src }, null],
  ["an address without name and password", { page: "https://me:secret@example.com/a" }, "https://example.com/a"],
  ["a file without name and password", { src: "https://me:secret@files.example/v.mp4" }, mp4],
];

for (const [name, hints, url, isOwn] of TARGETS) {
  test(`${name} is sent`, () => {
    assert.deepEqual([target(hints).url, target(hints).isOwn], [url, isOwn ?? target(hints).isOwn]);
  });
}

test("a plain media file is sent as it is, without its fragment, and nothing that is not on the web", () => {
  const url = "https://cdn.example.com/v.mp4?sig=a%2Fb";
  const file = { url, site: "media", isOwn: true, isFile: true };
  assert.deepEqual(target({ src: `${url}&utm_source=x#t=3` }), file);
  for (const page of ["file:///home/me/v.html", "about:blank", "chrome://settings", "not a url"]) {
    assert.deepEqual(target({ page }), { url: null, site: "none", isOwn: false, isFile: false });
  }
});

test("a site whose name only looks like a known one is an unknown site", () => {
  for (const page of ["https://notx.com/a/status/1", "https://youtube.com.evil.example/watch?v=aaaaaaaaaaa"]) {
    assert.equal(resolveLink(page).site, "page");
  }
});
