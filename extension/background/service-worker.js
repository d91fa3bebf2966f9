/**
 * The worker: hears of clicks and messages, and passes them on. Listeners are registered at top level, so that
 * the browser can wake it; it remembers nothing itself, see check-manager.js.
 */

import * as browser from "../shared/browser.js";
import { Cache } from "../shared/report-cache.js";
import { Checks } from "./check-manager.js";
import { LocalApi } from "./on-device-client.js";
import { webAddress } from "../shared/report.js";
import { SpaceApi, SpaceError } from "./space-client.js";
import { checksHere, spaceAddress } from "../shared/settings.js";
import { toWords } from "../shared/i18n.js";

/**
 * @typedef {import("../page/video-finder.js").Candidate} Candidate
 * @typedef {Candidate & {frameId: number}} Found
 * @typedef {{id?: number, src?: string, link?: string}} Wanted a video of a frame; empty: the one that is meant
 */

const cache = new Cache(browser.local());
const checks = new Checks({ session: browser.session(), cache, where });

const thisComputer = new LocalApi(browser.runLocally);

/** @param {boolean} onSpace whatever the settings say @returns {Promise<import("./check-manager.js").Where>} */
async function where(onSpace) {
  const settings = await browser.readSettings();
  const { historySize, model } = settings;
  const isPossible = await browser.hasLocalFiles();
  if (onSpace || !checksHere(settings, isPossible)) return { space: await reachSpace(), model, historySize };
  if (!isPossible) throw new SpaceError("no_local_files");
  return { space: thisComputer, model: "", historySize };
}

/** Raises SpaceError without the permission to reach it. */
async function reachSpace() {
  const { space } = await browser.readSettings();
  const address = spaceAddress(space) ?? "";
  if (!(await browser.mayReach(address))) throw new SpaceError("permission_needed");
  return new SpaceApi(address, await browser.readToken(address));
}

// --- ways in

browser.onMenu((clicked, tab) => {
  const { srcUrl: src, linkUrl: link } = clicked;
  const isVideo = clicked.mediaType === "video";
  /** @type {Wanted} */
  const wanted = isVideo ? (src ? { src } : {}) : link ? { link } : {};
  void checkInTab(tab, wanted, isVideo || link ? clicked.frameId : undefined);
});

browser.onShortcut((tab) => void checkInTab(tab, {}));

/**
 * @param {chrome.tabs.Tab} tab
 * @param {Wanted} wanted
 * @param {number} [frameId] where it is known; otherwise the frame with the video that is meant
 */
async function checkInTab(tab, wanted, frameId) {
  const tabId = tab.id ?? -1;
  try {
    const found = await videosIn(tabId);
    const frame = wanted.link ? 0 : (frameId ?? found[0]?.frameId ?? 0);
    const chosen = frameId === undefined && found[0] ? { id: found[0].id } : wanted;
    await browser.tellFrame(tabId, frame, { type: "start", wanted: chosen });
  } catch {
    const { table, fallback } = await browser.readSpeech();
    await browser.signal(tabId, toWords(table, fallback)("page_closed"));
  }
}

/** All videos of a tab, the one that is probably meant first. @param {number} tabId @returns {Promise<Found[]>} */
async function videosIn(tabId) {
  const frames = await browser.enterTab(tabId);
  const lists = await Promise.all(frames.map((frameId) => videosOf(tabId, frameId)));
  return lists.flat().sort((a, b) => b.score - a.score);
}

/** @param {number} tabId @param {number} frameId @returns {Promise<Found[]>} */
async function videosOf(tabId, frameId) {
  const found = await browser.tellFrame(tabId, frameId, { type: "videos" }).catch(() => []);
  return /** @type {Candidate[]} */ (found ?? []).map((video) => ({ ...video, frameId }));
}

// --- what pages, popup and options ask

/** @type {Record<string, (message: any, sender: chrome.runtime.MessageSender) => Promise<unknown>>} */
const ANSWERS = {
  hello: async (_, sender) => {
    const settings = await browser.readSettings();
    const { space, consent, hover, autoSites } = settings;
    const auto = autoSites.includes(browser.siteOfTab(sender) ?? "");
    const here = checksHere(settings, await browser.hasLocalFiles());
    return { speech: await browser.readSpeech(), space: spaceAddress(space), here, consent, hover, auto };
  },
  check: ({ url, model, fresh, onSpace }, sender) => orFailure(checks.start({ url, model, fresh, onSpace, who: nameOf(sender) })),
  ask: ({ key }, sender) => orFailure(checks.ask(key, nameOf(sender))),
  cancel: ({ key }, sender) => orFailure(checks.cancel(key, nameOf(sender))),
  frames: ({ url, model, title, onSpace }) => orFailure(checks.startFrames({ url, model, title, onSpace })),
  more: ({ key, frames }) => orFailure(checks.more(key, frames)),
  screen: async (_, { tab }) => browser.pictureOfTab(tab?.windowId ?? -1),
  consent: async ({ consent }) => browser.writeSettings({ consent }),
  models: async () => (await reachSpace()).models(),
  open: async ({ path, url }) => void (await browser.openTab(OPENABLE.includes(path) ? path : await spacePage(url))),
};

/** @type {typeof ANSWERS} for the extension's own pages only */
const OWN_ANSWERS = {
  videos: ({ tabId }) => videosIn(tabId),
  start: ({ tabId, frameId, id }) => browser.tellFrame(tabId, frameId, { type: "start", wanted: id === undefined ? {} : { id } }),
};
const OPENABLE = ["ui/options.html", "ui/history.html", "ui/welcome.html"];

browser.onMessage((message, sender) => {
  const type = String(message?.type);
  const answers = browser.isOwnPage(sender) ? { ...ANSWERS, ...OWN_ANSWERS } : ANSWERS;
  return Object.hasOwn(answers, type) ? answers[type]?.(message, sender) : undefined;
});

/** Which frame asks. @param {chrome.runtime.MessageSender} sender */
function nameOf({ tab, frameId }) {
  return `${tab?.id} ${frameId}`;
}

/** What went wrong before a check began, as a code. @template T @param {Promise<T>} answer */
async function orFailure(answer) {
  try {
    return await answer;
  } catch (error) {
    return { failure: error instanceof SpaceError ? error.code : "internal" };
  }
}

/** The Space with an address in its box, if there is one. @param {unknown} url */
async function spacePage(url) {
  const address = spaceAddress((await browser.readSettings()).space);
  const wanted = webAddress(url);
  if (!address) return "ui/options.html";
  return wanted ? `${address}/?url=${encodeURIComponent(wanted)}` : address;
}

// --- once

browser.onInstalled((reason) => {
  void applySettings();
  if (reason === "install") void browser.openTab("ui/welcome.html");
});

browser.onStartup(() => void applySettings());
browser.onSettings(() => void settingsChanged());
browser.onPermissions(() => void applySettings().then(() => browser.tellPages({ type: "settings" })));

/** What was switched off is given back, and ends on the pages that are open. */
async function settingsChanged() {
  await applySettings();
  const settings = await browser.readSettings();
  await browser.leaveOtherPages(settings, spaceAddress(settings.space) ?? "");
  await browser.tellPages({ type: "settings" });
}

/** One after the other: two at the same time would register things twice. */
let applying = Promise.resolve();

function applySettings() {
  const applied = applying.then(async () => {
    const [settings, { table, fallback }] = [await browser.readSettings(), await browser.readSpeech()];
    await browser.writeMenu(toWords(table, fallback));
    await browser.registerPages(settings);
  });
  applying = applied.catch(() => {});
  return applied;
}
