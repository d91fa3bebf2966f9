/**
 * The toolbar button's window: check the video that is probably meant, or choose another one of the page. Everything
 * that can be pressed appears at once, so that nothing moves under the pointer.
 *
 * @typedef {import("../shared/messages.js").Replies["videos"][0]} FoundVideo
 */

import { renderScale } from "../page/evidence-scale.js";
import * as browser from "../shared/browser.js";
import { h, toBlob } from "../shared/dom.js";
import { languageAttributes } from "../shared/i18n.js";
import { logo } from "../shared/icons.js";
import { formatClock, progressLabel, toLabel } from "../shared/labels.js";
import { mayReach, requestAccess, requestAllPages, revokeAllPages } from "../shared/permissions.js";
import { parseReport } from "../shared/report.js";
import { siteOf } from "../shared/settings.js";
import { byId, inputById, showAsInPanel } from "./elements.js";

const locale = await browser.readLocale();
const t = browser.localizePage(locale, document);
byId("top").prepend(logo());
for (const page of ["history", "options"]) {
  byId(page).addEventListener("click", () => void browser.openTab(`ui/${page}.html`).then(() => close()));
}
const CHECKS_MS = 1000;
const PICTURE_PX = 96;
const MIN_BOX_PX = 24; // less of a video in view tells nothing
const { id: tabId = -1, url } = (await browser.activeTab()) ?? {};
const site = siteOf(url);
const [found, keys, isAuto] = await Promise.all([
  browser.sendToBackground({ type: "videos", tabId }),
  browser.readShortcut(),
  isAutoChecked(),
]);
if (site) showAutoSwitch(site);
if (Array.isArray(found)) await showVideos(found);
else showStatus(t("page_closed"));
byId("rest").hidden = false;
byId(byId("foreign").hidden ? "check" : "allow").focus();
void showChecks();

/** @param {FoundVideo[]} videos the one that is probably meant first */
async function showVideos(videos) {
  if (videos.length > 1) await addPictures(videos).catch(() => {}); // without, they are told apart by their titles
  const [first, ...others] = videos;
  if (!first) await showForeignFrames();
  showStatus(first ? titleOf(first) : t("no_video"));
  if (first?.picture && others.length) byId("status").prepend(h("img", { src: first.picture, alt: "" }));
  const check = byId("check");
  check.textContent = t(first ? "menu_check" : "menu_check_page");
  check.title = keys;
  check.hidden = false;
  check.addEventListener("click", () => void start(first));
  byId("others").hidden = others.length === 0;
  byId("videos").replaceChildren(...others.slice(0, 8).map((video) => h("li", {}, choice(video))));
}

/** Cut the pictures that pages may not read from the visible tab. @param {FoundVideo[]} videos */
async function addPictures(videos) {
  const missing = videos.filter(({ picture, box }) => !picture && box && Math.min(box.width, box.height) >= MIN_BOX_PX);
  if (missing.length === 0) return;
  const tab = await createImageBitmap(toBlob(await browser.sendToBackground({ type: "screenshot" })));
  for (const video of missing) {
    const { left = 0, top = 0, width = 0, height = 0, tabWidth = 1 } = video.box ?? {};
    const scale = tab.width / tabWidth;
    const canvas = h("canvas", { width: PICTURE_PX, height: Math.round((PICTURE_PX * height) / width) });
    const from = /** @type {const} */ ([left * scale, top * scale, width * scale, height * scale]);
    canvas.getContext("2d")?.drawImage(tab, ...from, 0, 0, canvas.width, canvas.height);
    video.picture = canvas.toDataURL("image/jpeg");
  }
}

/** Offer the permission for a frame in which the player may lie: for its site, or all where that is not known. */
async function showForeignFrames() {
  const [origin] = (await browser.sendToBackground({ type: "foreignFrames", tabId }).catch(() => [])) ?? [];
  if (origin === undefined) return;
  const hostname = origin && new URL(origin).hostname;
  const request = () => (origin ? requestAccess(origin) : requestAllPages());
  byId("foreign-text").textContent = origin ? t("frame_of_site", hostname) : t("frame_of_unknown_site");
  byId("allow").textContent = origin ? t("allow_site", hostname) : t("allow_all_once");
  byId("allow").addEventListener("click", async () => (await request()) && location.reload());
  byId("foreign").hidden = false;
}

/** Show the checks of this tab, also those whose answer the page does not show: it has moved on, or removes it. */
async function showChecks() {
  const list = await browser.sendToBackground({ type: "checks", tabId }).catch(() => []);
  const checks = Array.isArray(list) ? list : [];
  const item = (/** @type {import("../shared/messages.js").TabCheck} */ { title, snapshot }) => {
    const report = snapshot.report && parseReport(snapshot.report);
    const { text, detail } = report ? toLabel(report, t) : progressLabel(snapshot, t);
    const evidence = report?.status === "ok" ? report.verdict.evidence : null;
    const scale = evidence && h("div", { class: "evidence" });
    if (scale) showAsInPanel(scale, languageAttributes(locale.language), renderScale(evidence, null));
    return h("li", {}, h("b", {}, text), scale, h("p", { dir: "auto" }, title), h("p", { class: "hint" }, detail));
  };
  byId("checks").hidden = checks.length === 0;
  byId("check-list").replaceChildren(...checks.map(item));
  if (checks.some(({ snapshot }) => !snapshot.finished)) setTimeout(() => void showChecks(), CHECKS_MS);
}

/** Tell whether the videos of the page's site are checked as they play. */
async function isAutoChecked() {
  return site !== null && (await browser.readSettings()).autoSites.includes(site) && (await mayReach(site));
}

/** @param {string} site */
function showAutoSwitch(site) {
  const box = inputById("auto");
  byId("auto-label").textContent = t("auto_site", new URL(site).hostname);
  byId("auto-line").hidden = false;
  box.checked = isAuto;
  box.addEventListener("change", () => void switchAuto(box, site));
}

/**
 * Switch checks as videos play on or off; saved first, as some browsers close this window for the permission.
 * @param {HTMLInputElement} box
 * @param {string} site
 */
async function switchAuto(box, site) {
  const request = box.checked ? requestAccess(site) : null; // at once: it must answer the click
  const others = (await browser.readSettings()).autoSites.filter((one) => one !== site);
  await browser.writeSettings({ autoSites: box.checked ? [...others, site] : others });
  if (request && !(await request)) await browser.writeSettings({ autoSites: others });
  box.checked &&= (await request) === true;
}

/** @param {string} text */
function showStatus(text) {
  byId("status").textContent = text;
}

/** @param {FoundVideo} [video] */
async function start(video) {
  await browser.sendToBackground({ type: "start", tabId, frameId: video?.frameId ?? 0, id: video?.id });
  await revokeAllPages(await browser.readSettings()); // given for a frame whose site is not known
  close();
}

/** @param {FoundVideo} video */
function choice(video) {
  const { duration, width, height, playing } = video;
  const facts = [duration ? formatClock(duration) : "", `${width} × ${height}`, playing ? t("playing") : ""];
  const hint = h("span", { class: "hint" }, facts.filter(Boolean).join(" · "));
  const picture = video.picture && h("img", { src: video.picture, alt: "" });
  return h("button", { type: "button", onclick: () => void start(video) }, picture, h("b", {}, titleOf(video)), hint);
}

/** @param {FoundVideo} video */
function titleOf(video) {
  return video.title || t("untitled");
}
