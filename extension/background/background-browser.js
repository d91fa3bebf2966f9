/** The calls of the browser that only the background makes, besides those of all parts. */

import { activeTab, fileUrl, SETTINGS_KEY, toArea } from "../shared/browser.js";
import { ALL_PAGES } from "../shared/permissions.js";
import { originPattern, siteOf } from "../shared/settings.js";

export * from "../shared/browser.js";

/**
 * @import { Port } from "../on_device/worker-host.js"
 * @import { PageRequest } from "../shared/messages.js"
 * @import { Settings } from "../shared/settings.js"
 */

const CONTENT_SCRIPT = "page/content-script.js";
const CONTENT_SCRIPT_ID = "page";
const WEB_PAGES = ["http://*/*", "https://*/*"];
const BADGE_MS = 6000;
const CAPTURE_INTERVAL_MS = 550; // browsers allow at most two captures of a tab a second

/** Get the area that lasts as long as the browser's session. */
export const sessionArea = () => toArea(chrome.storage.session);

// --- messages

/**
 * Send a request to a page's part.
 * @param {number} tabId
 * @param {number} frameId
 * @param {PageRequest} request
 * @returns {Promise<any>}
 */
export function sendToFrame(tabId, frameId, request) {
  return chrome.tabs.sendMessage(tabId, request, { frameId });
}

/** Send a request to every page that the extension runs on. @param {PageRequest} request */
export async function broadcast(request) {
  for (const { id = -1 } of await chrome.tabs.query({})) {
    void chrome.tabs.sendMessage(id, request).catch(() => {}); // it runs on few of them
  }
}

/**
 * Tell whether a message comes from a page of the extension, and not from a web page's part.
 * @param {chrome.runtime.MessageSender} sender
 */
export function isExtensionPage(sender) {
  return sender.url?.startsWith(fileUrl("")) ?? false;
}

/**
 * Get the site of the tab that a message comes from, where the extension may know it.
 * @param {chrome.runtime.MessageSender} sender
 */
export function siteOfTab({ tab }) {
  return siteOf(tab?.url);
}

// --- tabs

/**
 * Run the page's part in every frame that may be reached, at once: one that never ends loading holds up none.
 * @param {number} tabId
 * @returns {Promise<number[]>} frame ids
 */
export async function injectContentScript(tabId) {
  const target = { tabId, allFrames: true };
  const script = { target, files: [CONTENT_SCRIPT], injectImmediately: true };
  const results = await chrome.scripting.executeScript(script);
  return results.map((result) => result.frameId);
}

/**
 * Capture the visible part of a tab, as often as the browser allows. The pace is kept here, where the browser
 * counts: on a slow computer, what was requested in time may arrive together.
 * @param {number} [windowId] otherwise the window in front
 * @returns {Promise<string>} a JPEG data URL
 */
export async function captureTab(windowId = chrome.windows.WINDOW_ID_CURRENT) {
  const now = Date.now();
  nextCaptureAt = Math.max(now, nextCaptureAt + CAPTURE_INTERVAL_MS);
  await new Promise((resolve) => setTimeout(resolve, nextCaptureAt - now));
  return chrome.tabs.captureVisibleTab(windowId, { format: "jpeg", quality: 92 });
}
let nextCaptureAt = 0;

/**
 * Run the page's part on every page, on some sites, or nowhere, as the settings say; also where a page is open.
 * @param {Settings} settings
 */
export async function registerContentScripts({ hover, autoSites }) {
  const [known] = await chrome.scripting.getRegisteredContentScripts({ ids: [CONTENT_SCRIPT_ID] });
  const wanted = [...(hover ? [ALL_PAGES] : []), ...autoSites.map(originPattern)];
  const allowed = await Promise.all(wanted.map((pattern) => chrome.permissions.contains({ origins: [pattern] })));
  const patterns = wanted.filter((_, place) => allowed[place]);
  const matches = patterns.includes(ALL_PAGES) ? WEB_PAGES : patterns;
  if (known && String(known.matches) === String(matches)) return;
  if (known) await chrome.scripting.unregisterContentScripts({ ids: [CONTENT_SCRIPT_ID] });
  const script = { id: CONTENT_SCRIPT_ID, matches, js: [CONTENT_SCRIPT], allFrames: true };
  if (matches.length) await chrome.scripting.registerContentScripts([{ ...script, runAt: "document_idle" }]);
  for (const { id = -1, url } of await chrome.tabs.query({ discarded: false })) {
    const site = siteOf(url);
    const isMatch = site && (matches === WEB_PAGES || matches.includes(originPattern(site)));
    if (isMatch) void injectContentScript(id).catch(() => {}); // closed to extensions, or gone
  }
}

// --- the detector

const DETECTOR_PORT = "detector";

/**
 * Connect to the host of the detector's worker: in an offscreen document in Chromium, whose service worker cannot
 * start another worker; in this page in Firefox.
 * @returns {Promise<Port>}
 */
export async function connectDetector() {
  const { offscreen } = chrome; // Chromium's
  if (offscreen) {
    await openOffscreen(offscreen);
    return chrome.runtime.connect({ name: DETECTOR_PORT });
  }
  const { connectPorts, WorkerHost } = await import("../on_device/worker-host.js");
  const [port, other] = connectPorts();
  (host ??= new WorkerHost()).serve(other);
  return port;
}
/** @type {import("../on_device/worker-host.js").WorkerHost | undefined} */
let host;

/** @param {typeof chrome.offscreen} offscreen */
async function openOffscreen(offscreen) {
  if (await offscreen.hasDocument()) return;
  const reasons = [offscreen.Reason.WORKERS];
  const options = { url: "background/offscreen.html", reasons, justification: "The detector runs in a worker." };
  opening ??= offscreen.createDocument(options).finally(() => (opening = undefined));
  await opening;
}
/** @type {Promise<void> | undefined} two at the same time would fail */
let opening;

/** Serve the detector, in the offscreen document. @param {(port: Port) => void} serve */
export function onDetectorConnect(serve) {
  chrome.runtime.onConnect.addListener((port) => {
    if (port.name === DETECTOR_PORT && port.sender?.id === chrome.runtime.id) serve(port);
  });
}

// --- events that wake the background; their listeners must be registered at top level

/** Listen for changed settings. @param {() => void} listener */
export function onSettingsChanged(listener) {
  chrome.storage.local.onChanged.addListener((changes) => void (SETTINGS_KEY in changes && listener()));
}

/** Listen for installation and updates. @param {(reason: string) => void} listener */
export function onInstalled(listener) {
  chrome.runtime.onInstalled.addListener(({ reason }) => listener(reason));
}

/** Listen for the browser's start. @param {() => void} listener */
export function onStartup(listener) {
  chrome.runtime.onStartup.addListener(listener);
}

/** Listen for the keys that start a check. @param {(tab: chrome.tabs.Tab) => void} listener */
export function onShortcut(listener) {
  chrome.commands.onCommand.addListener((name, tab) => {
    if (name !== "check") return;
    if (tab) listener(tab);
    else void activeTab().then((active) => active && listener(active));
  });
}

/**
 * Listen for the entries of the context menu.
 * @param {(clicked: chrome.contextMenus.OnClickData, tab: chrome.tabs.Tab) => void} listener
 */
export function onMenuClicked(listener) {
  chrome.contextMenus.onClicked.addListener((clicked, tab) => tab && listener(clicked, tab));
}

/** Create the entries of the context menu. @param {import("../shared/i18n.js").Translate} t */
export async function createMenus(t) {
  await chrome.contextMenus.removeAll();
  chrome.contextMenus.create({ id: "video", title: t("menu_check"), contexts: ["video", "link"] });
  chrome.contextMenus.create({ id: "page", title: t("menu_check_page"), contexts: ["page", "frame"] });
}

/** Mark the toolbar button for a few seconds. @param {number} tabId @param {string} title */
export async function flashBadge(tabId, title) {
  const before = await chrome.action.getTitle({ tabId });
  const mark = async (/** @type {string} */ text, /** @type {string} */ shown) => {
    await chrome.action.setBadgeText({ tabId, text });
    await chrome.action.setTitle({ tabId, title: shown });
  };
  await mark("!", title);
  setTimeout(() => void mark("", before).catch(() => {}), BADGE_MS); // the tab may be gone by then
}
