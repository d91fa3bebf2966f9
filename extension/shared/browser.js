/**
 * The calls of the browser that all parts make: storage, messages, tabs, texts. Only this file, `permissions.js`,
 * `background/background-browser.js` and the content script's loader use `chrome`, which Chromium and Firefox both
 * offer with promises in manifest version 3.
 *
 * @import { Settings } from "./settings.js"
 * @import { Locale, Translate } from "./i18n.js"
 * @import { Replies, Request } from "./messages.js"
 */

import { chooseLanguage, languageAttributes, toTranslate } from "./i18n.js";
import { tokenFor, toSettings } from "./settings.js";

export const SETTINGS_KEY = "settings";
const TOKEN_KEY = "token";

// --- storage

/** Wrap a storage area. @param {chrome.storage.StorageArea} area */
export const toArea = (area) => ({
  /** @param {string[]} keys @returns {Promise<Record<string, unknown>>} */
  get: (keys) => area.get(keys),
  /** @param {Record<string, unknown>} items */
  set: (items) => area.set(items),
  /** @param {string[]} keys */
  remove: (keys) => area.remove(keys),
  /** @returns {Promise<Record<string, unknown>>} */
  all: () => area.get(null),
});

/** Get the area that outlasts the browser's session. */
export const localArea = () => toArea(chrome.storage.local);

/** Read the settings. @returns {Promise<Settings>} */
export async function readSettings() {
  return toSettings((await localArea().get([SETTINGS_KEY]))[SETTINGS_KEY]);
}

/** Change some settings. @param {Partial<Settings>} changed */
export async function writeSettings(changed) {
  await localArea().set({ [SETTINGS_KEY]: { ...(await readSettings()), ...changed } });
}

/**
 * Read the token that was given for an address, if any.
 * @param {string} address of a Space
 * @returns {Promise<string>}
 */
export async function readToken(address) {
  return tokenFor((await localArea().get([TOKEN_KEY]))[TOKEN_KEY], address);
}

/** Keep a token. @param {string} value empty: none @param {string} address the only one that it is sent to */
export async function writeToken(value, address) {
  if (value) await localArea().set({ [TOKEN_KEY]: { value, origin: new URL(address).origin } });
  else await localArea().remove([TOKEN_KEY]);
}

// --- texts

/** Read the texts of the language that is set. @returns {Promise<Locale>} */
export async function readLocale() {
  const { language: setting } = await readSettings();
  const language = chooseLanguage(setting, chrome.i18n.getUILanguage());
  const read = async (/** @type {string} */ name) => (await fetch(fileUrl(`_locales/${name}/messages.json`))).json();
  const [messages, fallback] = await Promise.all([read(language), read("en")]);
  return { language, messages, fallback };
}

/**
 * Fill a page of the extension with texts.
 * @param {Locale} locale
 * @param {Document} page
 * @returns {Translate}
 */
export function localizePage({ language, messages, fallback }, page) {
  const t = toTranslate(messages, fallback);
  Object.assign(page.documentElement, languageAttributes(language));
  const textOf = (/** @type {Element} */ element, /** @type {string} */ name) =>
    t(/** @type {any} */ (element.getAttribute(name)));
  for (const element of page.querySelectorAll("[data-text]")) element.textContent = textOf(element, "data-text");
  for (const element of page.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", textOf(element, "data-label"));
  }
  return t;
}

// --- messages

/**
 * Send a request to the background.
 * @template {Request} T
 * @param {T} request
 * @returns {Promise<Replies[T["type"]]>} undefined or {problem} where the background was ended, or failed
 */
export async function sendToBackground(request) {
  return chrome.runtime.sendMessage(request); // throws at once where the extension was updated or removed
}

/**
 * Answer messages of the extension's own parts.
 * @param {(message: any, sender: chrome.runtime.MessageSender) => Promise<unknown> | undefined} answer undefined: none
 */
export function onMessage(answer) {
  chrome.runtime.onMessage.addListener((message, sender, reply) => {
    const answering = sender.id === chrome.runtime.id ? answer(message, sender) : undefined;
    answering?.then(reply, (error) => reply({ problem: String(error) }));
    return answering !== undefined;
  });
}

/** Tell whether the extension still runs: a page may outlast its update or removal. */
export function isAlive() {
  return Boolean(chrome.runtime?.id);
}

// --- pages and tabs

/** Get the address of a file of the extension. @param {string} path */
export function fileUrl(path) {
  return chrome.runtime.getURL(path);
}

/** Open a tab. @param {string} path in the extension, or a web address */
export function openTab(path) {
  return chrome.tabs.create({ url: /^https?:/.test(path) ? path : fileUrl(path) });
}

/** Find the tab in front. @returns {Promise<chrome.tabs.Tab | undefined>} */
export async function activeTab() {
  return (await chrome.tabs.query({ active: true, lastFocusedWindow: true }))[0];
}

/** Get an element's shadow root, also a closed one. @param {Element} element @returns {ShadowRoot | null} */
export function shadowRootOf(element) {
  if (!(element instanceof HTMLElement)) return null;
  const inFirefox = /** @type {{openOrClosedShadowRoot?: ShadowRoot | null}} */ (element).openOrClosedShadowRoot;
  const dom = isAlive() ? chrome.dom : null; // Chromium's
  return inFirefox ?? dom?.openOrClosedShadowRoot(element) ?? element.shadowRoot;
}

/** Read the keys that start a check. @returns {Promise<string>} empty when a person removed them */
export async function readShortcut() {
  const commands = await chrome.commands.getAll();
  return commands.find(({ name }) => name === "check")?.shortcut ?? "";
}

// --- the detector's files

const DETECTOR_FILES = ["models/config.json", "models/model.onnx", "models/appearance.bin", "vendor/ort.wasm.min.mjs"];
/** @type {Promise<boolean> | undefined} */
let detectorFiles;

/** Tell whether the extension was packed with the detector, as `make extension` does. */
export function hasDetector() {
  const isThere = (/** @type {string} */ path) =>
    fetch(fileUrl(path), { method: "HEAD" }).then(
      ({ ok }) => ok,
      () => false,
    );
  return (detectorFiles ??= Promise.all(DETECTOR_FILES.map(isThere)).then((found) => found.every(Boolean)));
}
