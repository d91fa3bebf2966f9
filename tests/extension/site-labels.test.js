import assert from "node:assert/strict";
import test from "node:test";

import { findSiteLabel } from "../../extension/page/site-labels.js";
import { withSite } from "../../extension/shared/report.js";

const AI = "https://schema.org/TrainedAlgorithmicMediaDigitalSource";
const tiktok = (/** @type {string} */ id, /** @type {unknown} */ aigcLabelType) => ({
  __DEFAULT_SCOPE__: { "webapp.video-detail": { itemInfo: { itemStruct: { id, aigcLabelType } } } },
});
const video = { "@type": "VideoObject", digitalSourceType: AI };

/**
 * @param {string} href
 * @param {unknown[]} data of its scripts
 * @param {Record<string, unknown>} [found] by what is in the selector
 * @returns {any}
 */
const page = (href, data, found = {}) => {
  const querySelector = (/** @type {string} */ selector) =>
    Object.entries(found).find(([part]) => selector.includes(part))?.[1] ?? null;
  const querySelectorAll = () => data.map((one) => ({ textContent: JSON.stringify(one) }));
  return { location: { href }, querySelector, querySelectorAll };
};
const labelled = (/** @type {string} */ help) => ({
  "how-this": page("", [], { [help]: {}, BodyHeader: { textContent: " Altered or synthetic content " } }),
});

const watch = "https://www.youtube.com/watch?v=abcdefghijk";
const clip = "https://www.tiktok.com/@a/video/7";
const news = "https://news.example/clip";
const short = "https://www.youtube.com/shorts/b";
const labelOfNews = { name: "news.example", label: "made with AI" };
const altered = { name: "YouTube", label: "Altered or synthetic content" };
/** @type {[string, any, string | null, unknown][]} */
const cases = [
  ["YouTube's label", page(watch, [], labelled("15447836")), watch, altered],
  ["another section of YouTube", page(watch, [], labelled("15569972")), watch, null],
  ["the label of another video", page(watch, [], labelled("15447836")), `${watch.slice(0, -1)}0`, null],
  ["TikTok's label", page(clip, [tiktok("7", "2")]), clip, { name: "TikTok", label: "AI-generated" }],
  ["no label at TikTok", page(clip, [tiktok("7", 0)]), clip, null],
  ["data of another video at TikTok", page(clip, [tiktok("8", "1")]), clip, null],
  ["schema.org", page(news, [{ "@graph": [video] }]), news, labelOfNews],
  ["IPTC", page(news, [{ ...video, digitalSourceType: "x/trainedAlgorithmicMedia" }]), news, labelOfNews],
  ["a list of kinds", page(news, [{ ...video, "@type": ["VideoObject"] }]), news, labelOfNews],
  ["a name of every object", page(news, [{ ...video, digitalSourceType: "constructor" }]), news, null],
  ["what is no text", page(news, [{ ...video, digitalSourceType: { toString: null } }]), news, null],
  ["what is no number", page(clip, [tiktok("7", { toString: null })]), clip, null],
  ["a Short beside another", page("https://www.youtube.com/shorts/a", [], labelled("15447836")), short, null],
  ["several videos", page(news, [video, video]), news, null],
  ["no address", page(news, [video]), null, null],
];
for (const [name, given, address, expected] of cases) {
  test(name, () => assert.deepEqual(findSiteLabel(given, address), expected));
}

test("a report gets the label of the page, and keeps its own", () => {
  const report = /** @type {any} */ ({ provenance: null });
  const site = { name: "news.example", label: "made with AI" };
  assert.deepEqual(withSite(report, site).provenance?.site, site);
  assert.equal(withSite(report, null), report);
  const own = /** @type {any} */ ({ provenance: { site: { name: "a", label: "b" } } });
  assert.equal(withSite(own, site), own);
});
