/**
 * The background: receives clicks and messages, and passes them on. Listeners are registered at top level, so that
 * the browser can wake it; it keeps no state itself, see check-manager.js.
 *
 * @import { Candidate, FrameList, Replies, Request, VideoRef } from "../shared/messages.js"
 */

import { CheckError } from "../shared/errors.js";
import { toTranslate } from "../shared/i18n.js";
import { mayReach, mayReachAll, onPermissionsChanged, revokeUnused } from "../shared/permissions.js";
import { ReportCache } from "../shared/report-cache.js";
import { spaceAddress, usesOnDevice } from "../shared/settings.js";
import { parseWebUrl } from "../shared/urls.js";
import * as browser from "./background-browser.js";
import { CheckManager } from "./check-manager.js";
import { OnDeviceClient } from "./on-device-client.js";
import { SpaceClient } from "./space-client.js";

const cache = new ReportCache(browser.localArea());
const checks = new CheckManager({ session: browser.sessionArea(), cache, getBackend, getHistorySize });
const onDevice = new OnDeviceClient(browser.connectDetector);

/** @param {boolean} onSpace whatever the settings say @returns {Promise<import("./check-manager.js").Backend>} */
async function getBackend(onSpace) {
  const settings = await browser.readSettings();
  const isPossible = await browser.hasDetector();
  if (onSpace || !usesOnDevice(settings, isPossible)) return { client: await connectSpace(), model: settings.model };
  if (!isPossible) throw new CheckError("no_local_files");
  return { client: onDevice, model: "" };
}

async function getHistorySize() {
  return (await browser.readSettings()).historySize;
}

/** @throws {CheckError} without the permission to reach it */
async function connectSpace() {
  const { space } = await browser.readSettings();
  const address = spaceAddress(space) ?? "";
  if (!(await mayReach(address))) throw new CheckError("permission_needed");
  return new SpaceClient(address, await browser.readToken(address));
}

// --- menu and keys

browser.onMenuClicked((clicked, tab) => {
  const { srcUrl: src, linkUrl: link } = clicked;
  const isVideo = clicked.mediaType === "video";
  const video = isVideo ? (src ? { src } : {}) : link ? { link } : {};
  void checkInTab(tab, video, isVideo || link ? clicked.frameId : undefined);
});

browser.onShortcut((tab) => void checkInTab(tab, {}, undefined, true));

/**
 * @param {chrome.tabs.Tab} tab
 * @param {VideoRef} video
 * @param {number} [frameId] where it is known; otherwise the frame with the video that is probably meant
 * @param {boolean} [isByKeys]
 */
async function checkInTab(tab, video, frameId, isByKeys = false) {
  const tabId = tab.id ?? -1;
  try {
    const [first] = await videosIn(tabId);
    const frame = video.link ? 0 : (frameId ?? first?.frameId ?? 0);
    const chosen = frameId === undefined && first ? { id: first.id } : video;
    await browser.sendToFrame(tabId, frame, { type: "start", video: chosen, isByKeys });
  } catch {
    const { messages, fallback } = await browser.readLocale();
    await browser.flashBadge(tabId, toTranslate(messages, fallback)("page_closed"));
  }
}

/** List all videos of a tab, the one that is probably meant first. @param {number} tabId */
async function videosIn(tabId) {
  const found = await askFrames(tabId, "videos", (/** @type {Candidate} */ video, frameId) => ({ ...video, frameId }));
  return found.sort((a, b) => b.score - a.score);
}

/**
 * @template T, U
 * @param {number} tabId
 * @param {"videos" | "frames"} type of what every frame lists
 * @param {(item: T, frameId: number) => U} toItem
 * @returns {Promise<U[]>}
 */
async function askFrames(tabId, type, toItem) {
  const frames = await browser.injectContentScript(tabId);
  const lists = frames.map(async (frameId) => {
    const found = await browser.sendToFrame(tabId, frameId, { type }).catch(() => []);
    return /** @type {T[]} */ (found ?? []).map((item) => toItem(item, frameId));
  });
  return (await Promise.all(lists)).flat();
}

// --- requests

/**
 * @typedef {chrome.runtime.MessageSender} Sender
 */

/**
 * @template {Request["type"]} T
 * @typedef {(request: Extract<Request, {type: T}>, sender: Sender) => Promise<Replies[T]>} Handler
 */

/**
 * @template {Request["type"]} T
 * @typedef {{[K in T]: Handler<K>}} Handlers
 */

/** @typedef {"videos" | "foreignFrames" | "checks" | "start"} OwnType */

/** @type {Handlers<Exclude<Request["type"], OwnType>>} */
const HANDLERS = {
  handshake: async (_, sender) => {
    const settings = await browser.readSettings();
    const { consent, hover, autoSites } = settings;
    return {
      locale: await browser.readLocale(),
      space: spaceAddress(settings.space),
      onDevice: usesOnDevice(settings, await browser.hasDetector()),
      consent,
      hover,
      auto: autoSites.includes(browser.siteOfTab(sender) ?? ""),
    };
  },
  remembered: (request) => checks.remembered(request),
  check: (request, sender) => orFailure(checks.start({ ...request, isPrivate: isPrivate(sender) }, tabOf(sender))),
  capture: (request, sender) =>
    orFailure(checks.startCapture({ ...request, isPrivate: isPrivate(sender) }, tabOf(sender))),
  frames: ({ key, frames, fingerprint }) => orFailure(checks.addFrames(key, frames, fingerprint)),
  poll: ({ key }, sender) => orFailure(checks.poll(key, tabOf(sender))),
  cancel: ({ key }, sender) => orFailure(checks.cancel(key, tabOf(sender))),
  screenshot: (_, { tab }) => browser.captureTab(tab?.windowId),
  consent: ({ consent }) => browser.writeSettings({ consent }),
  notice: ({ text }, { tab }) => browser.flashBadge(tab?.id ?? -1, text),
  models: async () => (await connectSpace()).models(),
  open: async ({ path, url }) => void (await browser.openTab(OPENABLE.includes(path) ? path : await spacePage(url))),
};

/** @type {Handlers<OwnType>} for the extension's own pages only */
const OWN_HANDLERS = {
  videos: ({ tabId }) => videosIn(tabId),
  foreignFrames: async ({ tabId }) => {
    const lists = await askFrames(tabId, "frames", (/** @type {FrameList} */ list) => list);
    const reached = new Set(lists.map(({ place }) => place));
    const foreign = (await mayReachAll()) ? [] : lists.flatMap(({ frames }) => frames);
    const origins = foreign.map(async ({ place, origin }) => {
      if (place && reached.has(place)) return [];
      if (origin && !(await mayReach(origin))) return [origin];
      return place ? [""] : []; // its address leads elsewhere
    });
    return [...new Set((await Promise.all(origins)).flat())].sort((a, b) => b.localeCompare(a));
  },
  checks: ({ tabId }) => checks.listTab(tabId),
  start: ({ tabId, frameId, id }) =>
    browser.sendToFrame(tabId, frameId, { type: "start", video: id === undefined ? {} : { id } }),
};
const OPENABLE = ["ui/options.html", "ui/history.html", "ui/welcome.html"];

browser.onMessage((message, sender) => {
  const type = String(message?.type);
  /** @type {Record<string, (request: any, sender: Sender) => Promise<unknown>>} */
  const handlers = browser.isExtensionPage(sender) ? { ...HANDLERS, ...OWN_HANDLERS } : HANDLERS;
  return Object.hasOwn(handlers, type) ? handlers[type]?.(message, sender) : undefined;
});

/** @param {Sender} sender */
function tabOf({ tab, frameId }) {
  return `${tab?.id} ${frameId}`;
}

/** @param {Sender} sender */
function isPrivate({ tab }) {
  return tab?.incognito ?? false;
}

/**
 * @template T
 * @param {Promise<T>} answer
 * @returns {Promise<T | import("../shared/messages.js").Failure>}
 */
async function orFailure(answer) {
  try {
    return await answer;
  } catch (error) {
    return { failure: error instanceof CheckError ? error.code : "internal" };
  }
}

/**
 * Get the Space's page, with an address filled in; the settings page where there is no Space.
 * @param {unknown} url
 */
async function spacePage(url) {
  const address = spaceAddress((await browser.readSettings()).space);
  const video = parseWebUrl(url);
  if (!address) return "ui/options.html";
  return video ? `${address}/?url=${encodeURIComponent(video.href)}` : address;
}

// --- settings

browser.onInstalled((reason) => {
  void applySettings();
  if (reason === "install") void browser.openTab("ui/welcome.html");
});

browser.onStartup(() => void applySettings());
browser.onSettingsChanged(() => void settingsChanged());
onPermissionsChanged(() => void applySettings().then(() => browser.broadcast({ type: "settings" })));

async function settingsChanged() {
  await applySettings();
  const settings = await browser.readSettings();
  await revokeUnused(settings);
  await browser.broadcast({ type: "settings" });
}

/** The last call: two at the same time would register things twice. */
let applying = Promise.resolve();

function applySettings() {
  const applied = applying.then(async () => {
    const [settings, { messages, fallback }] = [await browser.readSettings(), await browser.readLocale()];
    await browser.createMenus(toTranslate(messages, fallback));
    await browser.registerContentScripts(settings);
  });
  applying = applied.catch(() => {});
  return applied;
}
