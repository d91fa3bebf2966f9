/**
 * The toolbar button's window: check the video that is meant, or choose another one of the page. Everything that
 * can be pressed appears at once: nothing moves under a finger.
 *
 * @typedef {import("../background/service-worker.js").Found} Found
 */

import { activeTab, askToReach, mayReach, openTab, readSettings, readSpeech, shortcut, speak, tellWorker, writeSettings } from "../shared/browser.js";
import { clock } from "../shared/labels.js";
import { h } from "../shared/dom.js";
import { logo } from "../shared/icons.js";
import { siteOf } from "../shared/settings.js";

/** @param {string} id @returns {HTMLElement} */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const words = speak(await readSpeech(), document);
part("top").prepend(logo());
for (const page of ["history", "options"]) part(page).addEventListener("click", () => void openTab(`ui/${page}.html`).then(() => close()));
const tab = await activeTab();
const site = siteOf(tab?.url ?? "");
const [found, keys, isAuto] = await Promise.all([tellWorker({ type: "videos", tabId: tab?.id ?? -1 }), shortcut(), isSwitchedOn()]);
if (site) showAuto(site);
if (Array.isArray(found)) showVideos(tab?.id ?? -1, found);
else say(words("page_closed"));
part("rest").hidden = false;
part("check").focus();

/** @param {number} tabId @param {Found[]} videos the one that is meant first */
function showVideos(tabId, [first, ...others]) {
  say(first ? titleOf(first) : words("no_video"));
  const check = part("check");
  check.textContent = words(first ? "menu_check" : "menu_check_page");
  check.title = keys;
  check.hidden = false;
  check.addEventListener("click", () => void start(tabId, first));
  part("others").hidden = others.length === 0;
  part("videos").replaceChildren(...others.slice(0, 8).map((video) => h("li", {}, choice(tabId, video))));
}

/** Whether the videos of the page's site are checked as they play. */
async function isSwitchedOn() {
  return site !== null && (await readSettings()).autoSites.includes(site) && (await mayReach(site));
}

/** The switch for that. @param {string} site */
function showAuto(site) {
  const box = /** @type {HTMLInputElement} */ (part("auto"));
  part("auto-label").textContent = words("auto_site", new URL(site).hostname);
  part("auto-line").hidden = false;
  box.checked = isAuto;
  box.addEventListener("change", () => void switchAuto(box, site));
}

/** Written first: some browsers close this window when they ask for a permission. @param {HTMLInputElement} box @param {string} site */
async function switchAuto(box, site) {
  const asked = box.checked ? askToReach(site) : null; // at once, while the press counts
  const others = (await readSettings()).autoSites.filter((one) => one !== site);
  await writeSettings({ autoSites: box.checked ? [...others, site] : others });
  if (asked && !(await asked)) await writeSettings({ autoSites: others });
  box.checked &&= (await asked) === true;
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
