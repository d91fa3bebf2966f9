/**
 * How a site labels its video, in the data of the page that is open: made with AI, altered, or recorded. The rules are
 * those of Python's `site_labels.py`; each makes sure that the label is that of the video.
 *
 * @import { SiteLabel } from "../shared/report.js"
 * @typedef {Pick<Document, "querySelector" | "querySelectorAll" | "location">} Page
 */

import { fields, text } from "../shared/json-values.js";
import { parseWebUrl } from "../shared/urls.js";

const AI_HELP = "answer/15447836"; // the help page that YouTube's label links to, in every language
const SECTION = "how-this-was-made-section-view-model";
const TIKTOK_LABELS = new Map([
  ["1", "Creator labeled as AI-generated"],
  ["2", "AI-generated"],
]);
// of IPTC; with another spelling of schema.org/IPTCDigitalSourceEnumeration
const SOURCE_TYPES = new Map([
  ["trainedAlgorithmicMedia", "made with AI"],
  ["compositeWithTrainedAlgorithmicMedia", "partly made with AI"],
  ["algorithmicMedia", "made with software"],
  ["digitalCapture", "recorded with a camera"],
]);
const MAX_LABEL = 80; // characters

/** @type {{name: string, host: RegExp, read: (page: Page, url: URL) => string | null | undefined}[]} */
const SITES = [
  {
    name: "YouTube",
    host: /(^|\.)youtube\.com$/,
    read: (page, url) => {
      const id = url.searchParams.get("v");
      const isOpen = id && new URL(page.location.href).searchParams.get("v") === id;
      const section = isOpen && page.querySelector(SECTION);
      if (!section || !section.querySelector(`a[href*="${AI_HELP}"]`)) return null;
      return section.querySelector("[class*='BodyHeader']")?.textContent.trim() || "Altered or synthetic content";
    },
  },
  {
    name: "TikTok",
    host: /(^|\.)tiktok\.com$/,
    read: (page, url) => {
      const [data] = parsed(page, "script#__UNIVERSAL_DATA_FOR_REHYDRATION__");
      const path = ["__DEFAULT_SCOPE__", "webapp.video-detail", "itemInfo", "itemStruct"];
      const item = path.reduce((from, name) => fields(from[name]), fields(data));
      return url.pathname.endsWith(`/${plain(item.id)}`) ? TIKTOK_LABELS.get(plain(item.aigcLabelType)) : null;
    },
  },
];

/**
 * Find how the site labels a video.
 * @param {Page} page
 * @param {string | null} address of the video
 * @returns {SiteLabel | null}
 */
export function findSiteLabel(page, address) {
  const url = parseWebUrl(address);
  if (!url) return null;
  const site = SITES.find(({ host }) => host.test(url.hostname));
  if (site) {
    const label = site.read(page, url);
    return label ? { name: site.name, label: text(label).slice(0, MAX_LABEL) } : null;
  }
  const videos = parsed(page, "script[type='application/ld+json']").flatMap(videoObjects);
  const type = (plain(videos[0]?.digitalSourceType).split("/").pop() ?? "").replace(/DigitalSource$/, "");
  const label = videos.length === 1 && SOURCE_TYPES.get(type.charAt(0).toLowerCase() + type.slice(1));
  return label ? { name: new URL(page.location.href).hostname, label } : null;
}

/** @param {Page} page @param {string} selector of scripts @returns {unknown[]} those that are JSON */
function parsed(page, selector) {
  return [...page.querySelectorAll(selector)].flatMap(({ textContent }) => {
    try {
      return [JSON.parse(textContent ?? "")];
    } catch {
      return [];
    }
  });
}

/** @param {unknown} data @returns {Record<string, unknown>[]} */
function videoObjects(data) {
  const nodes = Array.isArray(data) ? data : [data, ...[fields(data)["@graph"]].flat()];
  return nodes.map(fields).filter((node) => plain([node["@type"]].flat()[0]) === "VideoObject");
}

/** @param {unknown} value of a page, whose objects may not be made to text @returns {string} */
function plain(value) {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
