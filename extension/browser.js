/**
 * The only file that knows the browser: storage, messages, tabs, permissions, words.
 *
 * Chromium and Firefox both offer `chrome` with promises in manifest version 3.
 *
 * @typedef {import("./settings.js").Settings} Settings
 * @typedef {import("./words.js").Table} Table
 * @typedef {import("./words.js").Words} Words
 *
 * @typedef {object} Speech everything that is needed to speak to a person
 * @property {string} language one of words.LANGUAGES
 * @property {Table} table
 * @property {Table} fallback
 */

import { originPattern, toSettings } from "./settings.js";
import { chooseLanguage, direction, tag, toWords } from "./words.js";

const PERSON_SETTINGS = "settings";
const TOKEN = "token";
const HOVER_SCRIPT = "hover";

// --- storage

/** @param {chrome.storage.StorageArea} area */
const wrap = (area) => ({
  /** @param {string[]} keys @returns {Promise<Record<string, unknown>>} */
  get: (keys) => area.get(keys),
  /** @param {Record<string, unknown>} items */
  set: (items) => area.set(items),
  /** @param {string[]} keys */
  remove: (keys) => area.remove(keys),
  /** @returns {Promise<Record<string, unknown>>} */
  all: () => area.get(null),
});

export const local = () => wrap(chrome.storage.local);
export const session = () => wrap(chrome.storage.session);

/** @returns {Promise<Settings>} */
export async function readSettings() {
  return toSettings((await local().get([PERSON_SETTINGS]))[PERSON_SETTINGS]);
}

/** @param {Partial<Settings>} changed */
export async function writeSettings(changed) {
  await local().set({ [PERSON_SETTINGS]: { ...(await readSettings()), ...changed } });
}

/** @returns {Promise<string>} */
export async function readToken() {
  const token = (await local().get([TOKEN]))[TOKEN];
  return typeof token === "string" ? token : "";
}

/** @param {string} token */
export async function writeToken(token) {
  await (token ? local().set({ [TOKEN]: token }) : local().remove([TOKEN]));
}

// --- words

/** @returns {Promise<Speech>} */
export async function readSpeech() {
  const { language: wanted } = await readSettings();
  const language = chooseLanguage(wanted, chrome.i18n.getUILanguage());
  const [table, fallback] = await Promise.all([readTable(language), readTable("en")]);
  return { language, table, fallback };
}

/** @param {string} language @returns {Promise<Table>} */
async function readTable(language) {
  return (await fetch(fileUrl(`_locales/${language}/messages.json`))).json();
}

/** Fill an extension page with words. @param {Speech} speech @param {Document} page @returns {Words} */
export function speak({ language, table, fallback }, page) {
  const words = toWords(table, fallback);
  page.documentElement.lang = tag(language);
  page.documentElement.dir = direction(language);
  for (const element of page.querySelectorAll("[data-words]")) {
    element.textContent = words(element.getAttribute("data-words") ?? "");
  }
  for (const element of page.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", words(element.getAttribute("data-label") ?? ""));
  }
  return words;
}

// --- messages

/** @param {unknown} message @returns {Promise<any>} what the worker answers */
export function tellWorker(message) {
  return chrome.runtime.sendMessage(message);
}

/** @param {number} tabId @param {number} frameId @param {unknown} message @returns {Promise<any>} */
export function tellFrame(tabId, frameId, message) {
  return chrome.tabs.sendMessage(tabId, message, { frameId });
}

/**
 * Answer messages of this extension's own parts.
 *
 * @param {(message: any, sender: chrome.runtime.MessageSender) => Promise<unknown> | undefined} answer undefined: not ours
 * @param {AbortSignal} [signal]
 */
export function onMessage(answer, signal) {
  /** @type {(message: unknown, sender: chrome.runtime.MessageSender, reply: (answer: unknown) => void) => boolean} */
  const listener = (message, sender, reply) => {
    const answering = sender.id === chrome.runtime.id ? answer(message, sender) : undefined;
    answering?.then(reply, (error) => reply({ problem: String(error) }));
    return answering !== undefined;
  };
  chrome.runtime.onMessage.addListener(listener);
  signal?.addEventListener("abort", () => chrome.runtime.onMessage.removeListener(listener));
}

/** Whether a message comes from the popup, the options or the like, and not from a web page's part. @param {chrome.runtime.MessageSender} sender */
export function isOwnPage(sender) {
  return sender.url?.startsWith(fileUrl("")) ?? false;
}

/** False in a page that outlived an update or the removal of the extension. */
export function isAlive() {
  return Boolean(chrome.runtime?.id);
}

// --- tabs

/** @returns {Promise<chrome.tabs.Tab | undefined>} */
export async function activeTab() {
  return (await chrome.tabs.query({ active: true, lastFocusedWindow: true }))[0];
}

/** Put the page's part into every frame that may be reached. @param {number} tabId @returns {Promise<number[]>} frame ids */
export async function enterTab(tabId) {
  const target = { tabId, allFrames: true };
  const results = await chrome.scripting.executeScript({ target, files: ["content.js"] });
  return results.map((result) => result.frameId);
}

/** @param {number} windowId @returns {Promise<string>} the visible part of its tab, a JPEG data URL */
export function pictureOfTab(windowId) {
  return chrome.tabs.captureVisibleTab(windowId, { format: "jpeg", quality: 92 });
}

/** @param {string} path in the extension, or a web address */
export function openTab(path) {
  return chrome.tabs.create({ url: /^https?:/.test(path) ? path : fileUrl(path) });
}

/** @param {string} path */
export function fileUrl(path) {
  return chrome.runtime.getURL(path);
}

// --- permissions

/** @param {string} address of a Space */
export function mayReach(address) {
  return chrome.permissions.contains({ origins: [originPattern(address)] });
}

/** Only in answer to a click. @param {string} address of a Space */
export function askToReach(address) {
  return chrome.permissions.request({ origins: [originPattern(address)] });
}

/** Only in answer to a click. */
export function askForAllPages() {
  return chrome.permissions.request({ origins: ["http://*/*", "https://*/*"] });
}

/** Give back every host permission but the Space's. @param {string} keep its address */
export async function leaveOtherPages(keep) {
  const { origins = [] } = await chrome.permissions.getAll();
  const needed = [originPattern(keep), "http://127.0.0.1/*"];
  const others = origins.filter((origin) => !needed.includes(origin));
  if (others.length) await chrome.permissions.remove({ origins: others }).catch(() => false);
}

/** Let the hover button appear on every page, or no longer. @param {boolean} wanted */
export async function registerHover(wanted) {
  const known = await chrome.scripting.getRegisteredContentScripts({ ids: [HOVER_SCRIPT] });
  const allowed = wanted && (await chrome.permissions.contains({ origins: ["http://*/*", "https://*/*"] }));
  if (known.length && !allowed) await chrome.scripting.unregisterContentScripts({ ids: [HOVER_SCRIPT] });
  if (known.length || !allowed) return;
  const matches = ["http://*/*", "https://*/*"];
  await chrome.scripting.registerContentScripts([{ id: HOVER_SCRIPT, matches, js: ["content.js"], allFrames: true, runAt: "document_idle" }]);
}

// --- the worker's own events; registered at top level, so that they wake it

/** @param {(reason: string) => void} listener */
export function onInstalled(listener) {
  chrome.runtime.onInstalled.addListener(({ reason }) => listener(reason));
}

/** @param {() => void} listener */
export function onStartup(listener) {
  chrome.runtime.onStartup.addListener(listener);
}

/** @param {(tab: chrome.tabs.Tab) => void} listener */
export function onShortcut(listener) {
  chrome.commands.onCommand.addListener((name, tab) => {
    if (name !== "check") return;
    if (tab) listener(tab);
    else void activeTab().then((active) => active && listener(active));
  });
}

/** @typedef {{pageUrl?: string, srcUrl?: string, linkUrl?: string, frameId?: number, mediaType?: string}} Clicked */

/** @param {(clicked: Clicked, tab: chrome.tabs.Tab) => void} listener */
export function onMenu(listener) {
  chrome.contextMenus.onClicked.addListener((clicked, tab) => tab && listener(/** @type {Clicked} */ (clicked), tab));
}

/** @param {Words} words */
export async function writeMenu(words) {
  await chrome.contextMenus.removeAll();
  chrome.contextMenus.create({ id: "video", title: words("menu_check"), contexts: ["video", "link"] });
  chrome.contextMenus.create({ id: "page", title: words("menu_check_page"), contexts: ["page", "frame"] });
}

/** A mark on the toolbar button, gone after a few seconds. @param {number} tabId @param {string} title */
export async function signal(tabId, title) {
  await chrome.action.setBadgeText({ tabId, text: "!" });
  await chrome.action.setTitle({ tabId, title });
}

/** @returns {Promise<string>} the keys that start a check; empty when a person removed them */
export async function shortcut() {
  const commands = await chrome.commands.getAll();
  return commands.find(({ name }) => name === "check")?.shortcut ?? "";
}
