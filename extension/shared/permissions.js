/** The permissions for web addresses, and which of them the settings need. */

import { originPattern, spaceAddress } from "./settings.js";

export const ALL_PAGES = "<all_urls>"; // what browsers require for captures of any tab: http and https are not enough
const OWN_MACHINE = "http://127.0.0.1/*"; // in the manifest

/** Tell whether a Space may be reached. @param {string} address */
export function mayReach(address) {
  return chrome.permissions.contains({ origins: [originPattern(address)] });
}

/** Tell whether every page may be entered. */
export function mayReachAll() {
  return chrome.permissions.contains({ origins: [ALL_PAGES] });
}

/**
 * Request the permission to reach an address, which only works in answer to a click.
 * @param {string} address of a Space or site
 */
export function requestAccess(address) {
  return chrome.permissions.request({ origins: [originPattern(address)] });
}

/** Request the permission to run on all pages, which only works in answer to a click. */
export function requestAllPages() {
  return chrome.permissions.request({ origins: [ALL_PAGES] });
}

/**
 * Give back every host permission that the settings do not need, but that for all pages.
 * @param {import("./settings.js").Settings} settings
 */
export async function revokeUnused(settings) {
  const { origins = [] } = await chrome.permissions.getAll();
  const kept = [...neededBy(settings), OWN_MACHINE, ALL_PAGES];
  const unused = origins.filter((origin) => !kept.includes(origin));
  if (unused.length) await chrome.permissions.remove({ origins: unused }).catch(() => false);
}

/**
 * Give back the permission to run on all pages, unless the settings need it; in answer to a click, as Chromium takes
 * all others along, and gives those that are needed again without asking only then.
 * @param {import("./settings.js").Settings} settings
 */
export async function revokeAllPages(settings) {
  if (settings.hover || !(await mayReachAll())) return;
  await chrome.permissions.remove({ origins: [ALL_PAGES] }).catch(() => false);
  await chrome.permissions.request({ origins: neededBy(settings) }).catch(() => false); // Firefox has kept them
}

/** @param {import("./settings.js").Settings} settings @returns {string[]} */
function neededBy({ space, autoSites }) {
  return [spaceAddress(space) ?? [], autoSites].flat().map(originPattern);
}

/**
 * Listen for permissions that are given or taken away, also in the browser's own pages.
 * @param {() => void} listener
 */
export function onPermissionsChanged(listener) {
  chrome.permissions.onAdded.addListener(listener);
  chrome.permissions.onRemoved.addListener(listener);
}
