/**
 * The toolbar button's window: check the video that is meant, or choose another one of the page.
 *
 * @typedef {import("./background.js").Found} Found
 */

import { activeTab, askToReach, mayReach, openTab, readSettings, readSpeech, shortcut, speak, tellWorker, writeSettings } from "./browser.js";
import { clock } from "./label.js";
import { h } from "./page/dom.js";
import { logo } from "./page/icons.js";
import { siteOf } from "./settings.js";

/** @param {string} id @returns {HTMLElement} */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const words = speak(await readSpeech(), document);
part("top").prepend(logo());
for (const page of ["history", "options"]) part(page).addEventListener("click", () => void openTab(`${page}.html`).then(() => close()));
const tab = await activeTab();
await Promise.all([showVideos(), showAuto()]);

async function showVideos() {
  const tabId = tab?.id ?? -1;
  const found = await tellWorker({ type: "videos", tabId });
  if (!Array.isArray(found)) return say(words("page_closed"));
  const [first, ...others] = /** @type {Found[]} */ (found);
  const keys = await shortcut();
  say(first ? titleOf(first) : words("no_video"));
  const check = part("check");
  check.textContent = words(first ? "menu_check" : "menu_check_page");
  check.title = keys;
  check.hidden = false;
  check.addEventListener("click", () => void start(tabId, first));
  check.focus();
  part("others").hidden = others.length === 0;
  part("videos").replaceChildren(...others.slice(0, 8).map((video) => h("li", {}, choice(tabId, video))));
}

/** The switch for the site of the page. */
async function showAuto() {
  const site = siteOf(tab?.url ?? "");
  if (!site) return;
  const { autoSites } = await readSettings();
  const box = /** @type {HTMLInputElement} */ (part("auto"));
  part("auto-label").textContent = words("auto_site", new URL(site).hostname);
  part("auto-line").hidden = false;
  box.checked = autoSites.includes(site) && (await mayReach(site));
  box.addEventListener("change", () => void switchAuto(box, site));
}

/** Written first: some browsers close this window when they ask for a permission, and the worker hears of it. @param {HTMLInputElement} box @param {string} site */
async function switchAuto(box, site) {
  const asked = box.checked ? askToReach(site) : null; // at once, while the press counts
  const others = (await readSettings()).autoSites.filter((one) => one !== site);
  await writeSettings({ autoSites: box.checked ? [...others, site] : others });
  if (asked && !(await asked)) await writeSettings({ autoSites: others });
  box.checked &&= (await asked) === true;
  await tellWorker({ type: "auto", tabId: tab?.id ?? -1, on: box.checked });
}

/** @param {string} text */
function say(text) {
  part("said").textContent = text;
}

/** @param {number} tabId @param {Found} [video] */
async function start(tabId, video) {
  await tellWorker({ type: "start", tabId, frameId: video?.frameId ?? 0, id: video?.id });
  close();
}

/** @param {number} tabId @param {Found} video */
function choice(tabId, video) {
  return h("button", { type: "button", onclick: () => void start(tabId, video) }, h("b", {}, titleOf(video)), h("span", { class: "hint" }, factsOf(video)));
}

/** @param {Found} video */
function titleOf(video) {
  return video.title || words("untitled");
}

/** @param {Found} video */
function factsOf({ duration, width, height, playing }) {
  const facts = [duration ? clock(duration) : "", `${width} × ${height}`, playing ? words("playing") : ""];
  return facts.filter(Boolean).join(" · ");
}
