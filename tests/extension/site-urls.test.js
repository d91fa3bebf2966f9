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

test("in a feed the link nearest to the video says which one it is", () => {
  const links = ["https://x.com/nasa", "https://x.com/nasa/status/2/photo/1", "https://x.com/esa/status/3"];
  assert.equal(
    target({ page: "https://x.com/home", links, src: "blob:https://x.com/1" }).url,
    "https://x.com/nasa/status/2",
  );
});

test("on a site for single videos the page itself goes before links to others", () => {
  const links = ["https://www.youtube.com/watch?v=bbbbbbbbbbb"];
  const page = "https://www.youtube.com/watch?v=aaaaaaaaaaa";
  assert.equal(target({ page, links }).url, page);
});

test("a plain media file is sent as it is, without its fragment", () => {
  assert.deepEqual(target({ src: "https://cdn.example.com/v.mp4?sig=a%2Fb&utm_source=x#t=3" }), {
    url: "https://cdn.example.com/v.mp4?sig=a%2Fb",
    site: "media",
    isOwn: true,
    isFile: true,
  });
});

test("a Mastodon post with a plain file is sent as the file", () => {
  const page = "https://mastodon.social/@Gargron/112345678901234567";
  assert.equal(target({ page, src: "https://files.example/v.mp4" }).url, "https://files.example/v.mp4");
  assert.equal(target({ page, src: "blob:https://mastodon.social/1" }).url, page);
});

test("a stream of the page's own making is sent as what the page declares, or as the page", () => {
  const src = "blob:https://example.com/1";
  assert.equal(
    target({ src, declared: ["https://www.youtube.com/embed/aaaaaaaaaaa"] }).url,
    "https://www.youtube.com/watch?v=aaaaaaaaaaa",
  );
  assert.equal(target({ src, declared: ["https://example.com/v.m3u8"] }).url, "https://example.com/v.m3u8");
  assert.equal(target({ src, page: "https://example.com/a?id=1&fbclid=2#top" }).url, "https://example.com/a?id=1");
});

test("an address that may stand for another video is not sent, unless it names a single one", () => {
  const src = "blob:https://example.com/1";
  const youtube = "https://www.youtube.com/watch?v=aaaaaaaaaaa";
  /** @type {[Partial<import("../../extension/page/site-urls.js").Hints>, string | null, boolean][]} */
  const cases = [
    [{ src, isOnly: false }, null, false],
    [{ src, isOnly: false, declared: ["https://example.com/v.m3u8"] }, null, false],
    [{ src }, "https://example.com/a", false],
    [{ src, isOnly: false, page: youtube }, youtube, true],
    [{ src: "https://example.com/v.mp4", isOnly: false }, "https://example.com/v.mp4", true],
  ];
  for (const [hints, url, isOwn] of cases) {
    assert.deepEqual([target(hints).url, target(hints).isOwn], [url, isOwn]);
  }
});

test("what is not on the web is not sent", () => {
  for (const page of ["file:///home/me/v.html", "about:blank", "chrome://settings", "not a url"]) {
    assert.deepEqual(target({ page }), { url: null, site: "none", isOwn: false, isFile: false });
  }
});

test("the address of a private conversation is never sent, whatever links are around the video", () => {
  const links = ["https://t.me/durov/123"];
  assert.equal(
    target({ page: "https://web.telegram.org/k/#1", links, src: "https://web.telegram.org/k/stream/1" }).url,
    null,
  );
});

test("a name and password in an address are left out", () => {
  assert.equal(target({ page: "https://me:secret@example.com/a" }).url, "https://example.com/a");
  assert.equal(target({ src: "https://me:secret@example.com/v.mp4" }).url, "https://example.com/v.mp4");
});

test("a site whose name only looks like a known one is an unknown site", () => {
  for (const page of ["https://notx.com/a/status/1", "https://youtube.com.evil.example/watch?v=aaaaaaaaaaa"]) {
    assert.equal(resolveLink(page).site, "page");
  }
});
