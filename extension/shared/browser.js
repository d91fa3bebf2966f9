/**
 * The only file that knows the browser: storage, messages, tabs, permissions, words.
 *
 * Chromium and Firefox both offer `chrome` with promises in manifest version 3.
 *
 * @typedef {import("./settings.js").Settings} Settings
 * @typedef {import("./i18n.js").Table} Table
 * @typedef {import("./i18n.js").Words} Words
 *
 * @typedef {object} Speech everything that is needed to speak to a person
 * @property {string} language one of words.LANGUAGES
 * @property {Table} table
 * @property {Table} fallback
 */

import { originPattern, siteOf, tokenFor, toSettings } from "./settings.js";
import { chooseLanguage, direction, tag, toWords } from "./i18n.js";

const PERSON_SETTINGS = "settings";
const TOKEN = "token";
const PAGE_SCRIPT = "page";
const ALL_PAGES = "<all_urls>"; // what browsers want for a picture of any tab; two patterns for http and https do not do
const WEB_PAGES = ["http://*/*", "https://*/*"];
const OWN_MACHINE = "http://127.0.0.1/*"; // the manifest's own
const SIGNAL_MS = 6000;
const PICTURE_MS = 550; // browsers take at most two pictures of a tab a second

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

/** Whoever changed them, and though they closed their window at once. @param {() => void} listener */
export function onSettings(listener) {
  chrome.storage.local.onChanged.addListener((changes) => void (PERSON_SETTINGS in changes && listener()));
}

/** The token that was given for this address, if any. @param {string} address of a Space @returns {Promise<string>} */
export async function readToken(address) {
  return tokenFor((await local().get([TOKEN]))[TOKEN], address);
}

/** @param {string} value empty: none @param {string} address the only one that it is sent to */
export async function writeToken(value, address) {
  await (value ? local().set({ [TOKEN]: { value, origin: new URL(address).origin } }) : local().remove([TOKEN]));
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

/** Tell every page that the extension is in. @param {unknown} message */
export async function tellPages(message) {
  for (const { id = -1 } of await chrome.tabs.query({})) void chrome.tabs.sendMessage(id, message).catch(() => {}); // most have none of it
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

/** The site of the tab that a message comes from, where the extension may know it. @param {chrome.runtime.MessageSender} sender */
export function siteOfTab({ tab }) {
  return siteOf(tab?.url ?? "");
}

/** Closed ones, too, in a page's part. @param {Element} element @returns {ShadowRoot | null} */
export function shadowRootOf(element) {
  if (!(element instanceof HTMLElement)) return null;
  const inFirefox = /** @type {{openOrClosedShadowRoot?: ShadowRoot | null}} */ (element).openOrClosedShadowRoot;
  const { dom } = chrome; // Chromium's
  return inFirefox ?? dom?.openOrClosedShadowRoot(element) ?? element.shadowRoot;
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
  const results = await chrome.scripting.executeScript({ target, files: ["page/content-script.js"] });
  return results.map((result) => result.frameId);
}

/**
 * Paced here, where the browser counts: on a slow computer, what was asked for in time may arrive together.
 *
 * @param {number} windowId
 * @returns {Promise<string>} the visible part of its tab, a JPEG data URL
 */
export async function pictureOfTab(windowId) {
  const now = Date.now();
  nextPictureAt = Math.max(now, nextPictureAt + PICTURE_MS);
  await new Promise((resolve) => setTimeout(resolve, nextPictureAt - now));
  return chrome.tabs.captureVisibleTab(windowId, { format: "jpeg", quality: 92 });
}
let nextPictureAt = 0;

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
  return chrome.permissions.request({ origins: [ALL_PAGES] });
}

/** Give back every host permission that the settings have no use for. @param {Settings} settings @param {string} space its address */
export async function leaveOtherPages({ hover, autoSites }, space) {
  const { origins = [] } = await chrome.permissions.getAll();
  const needed = [...[space, ...autoSites].map(originPattern), OWN_MACHINE, ...(hover ? [ALL_PAGES] : [])];
  const others = origins.filter((origin) => !needed.includes(origin));
  if (others.length) await chrome.permissions.remove({ origins: others }).catch(() => false);
}

/** A person may take permissions away, or give them in the browser's own pages. @param {() => void} listener */
export function onPermissions(listener) {
  chrome.permissions.onAdded.addListener(listener);
  chrome.permissions.onRemoved.addListener(listener);
}

/**
 * Let the page's part be on every page, for the hover button, or on some sites, or nowhere; also where a page is open.
 *
 * @param {Settings} settings
 */
export async function registerPages({ hover, autoSites }) {
  const known = await chrome.scripting.getRegisteredContentScripts({ ids: [PAGE_SCRIPT] });
  const wanted = hover && (await mayEnter(ALL_PAGES)) ? [ALL_PAGES] : [];
  for (const site of autoSites) if (await mayEnter(originPattern(site))) wanted.push(originPattern(site));
  const matches = wanted.includes(ALL_PAGES) ? WEB_PAGES : wanted;
  if (known[0] && String(known[0].matches) === String(matches)) return;
  if (known[0]) await chrome.scripting.unregisterContentScripts({ ids: [PAGE_SCRIPT] });
  if (matches.length) await chrome.scripting.registerContentScripts([{ id: PAGE_SCRIPT, matches, js: ["page/content-script.js"], allFrames: true, runAt: "document_idle" }]);
  for (const { id = -1, url = "" } of await chrome.tabs.query({ discarded: false })) {
    const site = siteOf(url);
    if (site && (matches === WEB_PAGES || matches.includes(originPattern(site)))) void enterTab(id).catch(() => {}); // closed to extensions, or gone
  }
}

/** @param {string} pattern */
function mayEnter(pattern) {
  return chrome.permissions.contains({ origins: [pattern] });
}

// --- checks on this computer

const LOCAL_FILES = ["models/config.json", "models/model.onnx", "models/heat.onnx", "vendor/ort.wasm.min.mjs"]; // put there by `make extension`
const LOCAL_PORT = "local";
/** @type {Promise<boolean> | undefined} */
let localFiles;

/** Whether this copy of the extension holds the models and what runs them. */
export function hasLocalFiles() {
  const isThere = (/** @type {string} */ path) => fetch(fileUrl(path), { method: "HEAD" }).then(({ ok }) => ok, () => false);
  return (localFiles ??= Promise.all(LOCAL_FILES.map(isThere)).then((found) => found.every(Boolean)));
}

/**
 * Check here: in an offscreen document in Chromium, whose worker may begin no other; in this very page in Firefox.
 *
 * @type {import("../background/on-device-client.js").Run}
 */
export async function runLocally({ windows, ...asked }, onProgress, signal) {
  const { offscreen } = chrome; // Chromium's
  if (!offscreen) return (await ownHost()).check({ windows, ...asked }, onProgress, signal);
  await openOffscreen(offscreen);
  signal.throwIfAborted();
  const port = chrome.runtime.connect({ name: LOCAL_PORT });
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => (port.disconnect(), reject(signal.reason)));
    port.onDisconnect.addListener(() => reject(new Error("the check was ended")));
    port.onMessage.addListener(({ report, problem, ...progress }) => {
      if (report) resolve(report);
      else if (problem) reject(new Error(problem));
      else onProgress(progress);
      if (report || problem) port.disconnect();
    });
    port.postMessage(asked);
    const pass = async () => {
      for await (const frames of windows) port.postMessage({ frames });
      port.postMessage({ frames: null });
    };
    pass().catch((error) => (port.disconnect(), reject(error)));
  });
}

/** The offscreen document's side of it. @param {(tell: (said: unknown) => void, signal: AbortSignal) => (said: any) => void} begin a check -> who hears what is asked, then its windows */
export function onLocalCheck(begin) {
  chrome.runtime.onConnect.addListener((port) => {
    if (port.name !== LOCAL_PORT || port.sender?.id !== chrome.runtime.id) return;
    const stopping = new AbortController();
    port.onDisconnect.addListener(() => stopping.abort());
    port.onMessage.addListener(begin((said) => void (stopping.signal.aborted || port.postMessage(said)), stopping.signal));
  });
}

/** @type {import("../on_device/worker-host.js").Host | undefined} */
let host;

async function ownHost() {
  const { Host } = await import("../on_device/worker-host.js");
  return (host ??= new Host());
}

/** @type {Promise<void> | undefined} two at the same time would fail */
let opening;

/** @param {typeof chrome.offscreen} offscreen */
async function openOffscreen(offscreen) {
  if (await offscreen.hasDocument()) return;
  const reasons = [offscreen.Reason.WORKERS];
  opening ??= offscreen.createDocument({ url: "background/offscreen.html", reasons, justification: "The detector runs in a worker." }).finally(() => (opening = undefined));
  await opening;
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
  const before = await chrome.action.getTitle({ tabId });
  await mark("!", title);
  setTimeout(() => void mark("", before).catch(() => {}), SIGNAL_MS); // the tab may be gone by then

  /** @param {string} text @param {string} title */
  async function mark(text, title) {
    await chrome.action.setBadgeText({ tabId, text });
    await chrome.action.setTitle({ tabId, title });
  }
}

/** @returns {Promise<string>} the keys that start a check; empty when a person removed them */
export async function shortcut() {
  const commands = await chrome.commands.getAll();
  return commands.find(({ name }) => name === "check")?.shortcut ?? "";
}
