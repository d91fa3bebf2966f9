/** The settings page: everything is kept as soon as it is changed; the Space only after it was reached. */

import { askForAllPages, askToReach, hasLocalFiles, readSettings, readSpeech, readToken, speak, tellWorker, writeSettings, writeToken } from "../shared/browser.js";
import { h } from "../shared/dom.js";
import { logo } from "../shared/icons.js";
import { checksHere, mayCarryToken, spaceAddress } from "../shared/settings.js";
import { SpaceApi, SpaceError } from "../background/space-client.js";
import { LANGUAGES, tag } from "../shared/i18n.js";

/** @param {string} id @returns {HTMLInputElement} */
const input = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id));
/** @param {string} id @returns {HTMLElement} */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const words = speak(await readSpeech(), document);
part("top").prepend(logo());
input("connect").addEventListener("click", () => void connect());
input("space").addEventListener("change", () => void showToken());
input("hover").addEventListener("change", () => void switchHover());
for (const name of ["place", "model", "consent", "language"]) {
  input(name).addEventListener("change", () => void keep({ [name]: input(name).value }));
}
input("historySize").addEventListener("change", () => void keep({ historySize: input("historySize").valueAsNumber }));
await show();
void askForModels();

async function show() {
  const settings = await readSettings();
  const isPossible = await hasLocalFiles();
  input("place").value = checksHere(settings, isPossible) ? "local" : "space";
  part("place-missing").hidden = isPossible;
  input("space").value = settings.space;
  await showToken();
  input("consent").value = settings.consent;
  input("hover").checked = settings.hover;
  input("historySize").value = String(settings.historySize);
  input("language").replaceChildren(option("auto", words("language_auto")), ...LANGUAGES.map((language) => option(language, nameOf(language))));
  input("language").value = settings.language;
  showSites(settings.autoSites);
  showModels([], settings.model);
}

/** A token belongs to the address that it was given for; another address begins without. */
async function showToken() {
  input("token").value = await readToken(spaceAddress(input("space").value) ?? "");
}

/** @param {string[]} sites */
function showSites(sites) {
  part("no-sites").hidden = sites.length > 0;
  part("sites").replaceChildren(...sites.map((site) => h("li", { class: "entry" }, h("div", { dir: "ltr" }, site), removeButton(site))));
}

/** @param {string} site */
function removeButton(site) {
  return h("button", { type: "button", "aria-label": words("history_remove", site), onclick: () => void leaveSite(site) }, words("remove"));
}

/** @param {string} site */
async function leaveSite(site) {
  const autoSites = (await readSettings()).autoSites.filter((one) => one !== site);
  await keep({ autoSites });
  showSites(autoSites);
}

/** A Space that sleeps must not keep the page waiting. */
async function askForModels() {
  const found = await tellWorker({ type: "models" });
  if (Array.isArray(found)) showModels(found, input("model").value);
}

/** @param {{name: string}[]} models @param {string} chosen */
function showModels(models, chosen) {
  const names = [...new Set([...models.map(({ name }) => name), chosen])].filter(Boolean);
  input("model").replaceChildren(option("", words("model_default")), ...names.map((name) => option(name, name)));
  input("model").value = chosen;
}

/** Ask for the permission, which needs the click, then for the models. */
async function connect() {
  const [address, token] = [spaceAddress(input("space").value), input("token").value.trim()];
  if (!address) return say(words("space_no_address"));
  if (token && !mayCarryToken(address)) return say(words("token_needs_https"));
  if (!(await askToReach(address))) return say(words("error_permission_needed"));
  say(words("space_asking"));
  try {
    const models = await new SpaceApi(address, token).models();
    await writeToken(token, address);
    await keep({ space: input("space").value.trim(), place: "space" });
    input("place").value = "space";
    showModels(models, (await readSettings()).model);
    say(words("space_found", models.map(({ name }) => name).join(", ")));
  } catch (error) {
    const code = error instanceof SpaceError ? error.code : "space_unreachable";
    say(`${words(`error_${code}`)} ${words(`next_${code}`)}`);
  }
}

async function switchHover() {
  const wanted = input("hover").checked;
  const allowed = wanted && (await askForAllPages());
  input("hover").checked = allowed;
  await keep({ hover: allowed });
}

/** @param {Partial<import("../shared/settings.js").Settings>} changed */
async function keep(changed) {
  await writeSettings(changed);
  if ("language" in changed) location.reload();
}

/** @param {string} text */
function say(text) {
  part("said").textContent = text;
}

/** @param {string} value @param {string} text */
function option(value, text) {
  return h("option", { value }, text);
}

/** A language in its own words. @param {string} language */
function nameOf(language) {
  return new Intl.DisplayNames([tag(language)], { type: "language" }).of(tag(language)) ?? language;
}
