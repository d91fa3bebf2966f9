/** The permissions for web addresses, and which of them the settings need. */

import { originPattern } from "./settings.js";

export const ALL_PAGES = "<all_urls>"; // what browsers require for captures of any tab: http and https are not enough
const OWN_MACHINE = "http://127.0.0.1/*"; // in the manifest

/** Tell whether a Space may be reached. @param {string} address */
export function mayReach(address) {
  return chrome.permissions.contains({ origins: [originPattern(address)] });
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
 * Give back every host permission that the settings do not need.
 * @param {import("./settings.js").Settings} settings
 * @param {string} space its address
 */
export async function revokeUnused({ hover, autoSites }, space) {
  const { origins = [] } = await chrome.permissions.getAll();
  const needed = [...[space, ...autoSites].map(originPattern), OWN_MACHINE, ...(hover ? [ALL_PAGES] : [])];
  const unused = origins.filter((origin) => !needed.includes(origin));
  if (unused.length) await chrome.permissions.remove({ origins: unused }).catch(() => false);
}

/**
 * Listen for permissions that are given or taken away, also in the browser's own pages.
 * @param {() => void} listener
 */
export function onPermissionsChanged(listener) {
  chrome.permissions.onAdded.addListener(listener);
  chrome.permissions.onRemoved.addListener(listener);
}
