import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { resolveLink, resolveTarget } from "../../extension/page/sites.js";

const source = readFileSync(new URL("../../extension/page/sites.js", import.meta.url), "utf8");
const examples = [...source.matchAll(/^ +\/\/ (http\S+) -> (\S+)$/gm)].map(([, from = "", to = ""]) => ({ from, to }));

/** @param {Partial<import("../../extension/page/sites.js").Hints>} hints */
const target = (hints) => resolveTarget({ page: "https://example.com/a", src: "", links: [], declared: [], ...hints });

test("every row of the table has examples", () => {
  const rows = source.split(/\n {2}(?=\{)/).length - 1;
  assert.ok(examples.length >= 2 * rows - 1, `${examples.length} examples for ${rows} rows`);
});

for (const { from, to } of examples) {
  test(`${from} is sent as ${to}`, () => {
    assert.equal(resolveLink(from).url, to === "null" ? null : to);
  });
}

test("canonical addresses are their own canonical address", () => {
  for (const { to } of examples.filter((example) => example.to !== "null")) assert.equal(resolveLink(to).url, to);
});

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

test("what is not on the web is not sent", () => {
  for (const page of ["file:///home/me/v.html", "about:blank", "chrome://settings", "not a url"]) {
    assert.deepEqual(target({ page }), { url: null, site: "none" });
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
