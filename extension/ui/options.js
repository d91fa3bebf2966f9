/** The settings page: everything is saved when it is changed; the Space only after it was reached. */

import { SpaceClient } from "../background/space-client.js";
import * as browser from "../shared/browser.js";
import { h } from "../shared/dom.js";
import { CheckError } from "../shared/errors.js";
import { LANGUAGES, languageAttributes } from "../shared/i18n.js";
import { logo } from "../shared/icons.js";
import { requestAccess, requestAllPages, revokeAllPages } from "../shared/permissions.js";
import { canSendToken, spaceAddress, usesOnDevice } from "../shared/settings.js";
import { byId, inputById } from "./elements.js";

const t = browser.localizePage(await browser.readLocale(), document);
byId("top").prepend(logo());
byId("connect").addEventListener("click", () => void connect());
byId("space").addEventListener("change", () => void showToken());
byId("hover").addEventListener("change", () => void switchHover());
for (const name of ["place", "model", "consent", "language"]) {
  byId(name).addEventListener("change", () => void save({ [name]: inputById(name).value }));
}
byId("historySize").addEventListener(
  "change",
  () => void save({ historySize: inputById("historySize").valueAsNumber }),
);
await show();
byId("settings").inert = false; // before, a change would be lost
void listModels();

async function show() {
  const settings = await browser.readSettings();
  const isPossible = await browser.hasDetector();
  inputById("place").value = usesOnDevice(settings, isPossible) ? "local" : "space";
  byId("place-missing").hidden = isPossible;
  inputById("space").value = settings.space;
  await showToken();
  inputById("consent").value = settings.consent;
  inputById("hover").checked = settings.hover;
  inputById("historySize").value = String(settings.historySize);
  const languages = LANGUAGES.map((language) => option(language, languageName(language)));
  byId("language").replaceChildren(option("auto", t("language_auto")), ...languages);
  inputById("language").value = settings.language;
  showSites(settings.autoSites);
  showModels([], settings.model);
}

/** Show the token of the address: another one begins without, and what is typed meanwhile stands. */
async function showToken() {
  const token = inputById("token");
  token.value = "";
  const known = await browser.readToken(spaceAddress(inputById("space").value) ?? "");
  token.value ||= known;
}

/** @param {string[]} sites */
function showSites(sites) {
  const item = (/** @type {string} */ site) => {
    const onclick = () => void removeSite(site);
    const remove = h("button", { type: "button", "aria-label": t("history_remove", site), onclick }, t("remove"));
    return h("li", { class: "entry" }, h("div", { dir: "ltr" }, site), remove);
  };
  byId("no-sites").hidden = sites.length > 0;
  byId("sites").replaceChildren(...sites.map(item));
}

/** @param {string} site */
async function removeSite(site) {
  const autoSites = (await browser.readSettings()).autoSites.filter((one) => one !== site);
  await save({ autoSites });
  showSites(autoSites);
}

/** List the Space's models, without keeping the page waiting for a Space that sleeps. */
async function listModels() {
  const found = await browser.sendToBackground({ type: "models" });
  if (Array.isArray(found)) showModels(found, inputById("model").value);
}

/** @param {{name: string}[]} models @param {string} chosen */
function showModels(models, chosen) {
  const names = [...new Set([...models.map(({ name }) => name), chosen])].filter(Boolean);
  byId("model").replaceChildren(option("", t("model_default")), ...names.map((name) => option(name, name)));
  inputById("model").value = chosen;
}

/** Request the permission, which must answer the click, then the models. */
async function connect() {
  const [address, token] = [spaceAddress(inputById("space").value), inputById("token").value.trim()];
  if (!address) return showStatus(t("space_no_address"));
  if (token && !canSendToken(address)) return showStatus(t("token_needs_https"));
  if (!(await requestAccess(address))) return showStatus(t("error_permission_needed"));
  showStatus(t("space_asking"));
  try {
    const models = await new SpaceClient(address, token).models();
    await browser.writeToken(token, address);
    await save({ space: inputById("space").value.trim(), place: "space" });
    inputById("place").value = "space";
    showModels(models, (await browser.readSettings()).model);
    showStatus(t("space_found", models.map(({ name }) => name).join(", ")));
  } catch (error) {
    const code = error instanceof CheckError ? error.code : "space_unreachable";
    showStatus(`${t(`error_${code}`)} ${t(`next_${code}`)}`);
  }
}

async function switchHover() {
  const isAllowed = inputById("hover").checked && (await requestAllPages());
  inputById("hover").checked = isAllowed;
  await save({ hover: isAllowed });
  if (!isAllowed) await revokeAllPages(await browser.readSettings());
}

/** @param {Partial<import("../shared/settings.js").Settings>} changed */
async function save(changed) {
  await browser.writeSettings(changed);
  if ("language" in changed) location.reload();
}

/** @param {string} text */
function showStatus(text) {
  byId("status").textContent = text;
}

/** @param {string} value @param {string} text */
function option(value, text) {
  return h("option", { value }, text);
}

/** @param {string} language its name in itself */
function languageName(language) {
  const { lang } = languageAttributes(language);
  return new Intl.DisplayNames([lang], { type: "language" }).of(lang) ?? language;
}
