/** Web addresses. Pure. */

import constants from "./constants.js";

/** Parse a web address. @param {unknown} href @returns {URL | null} null unless http or https */
export function parseWebUrl(href) {
  const url = typeof href === "string" && URL.canParse(href) ? new URL(href) : null;
  return url && (url.protocol === "https:" || url.protocol === "http:") ? url : null;
}

/** Strip an address of its fragment and of the parameters that tell who shared it. @param {string} href */
export function stripTracking(href) {
  const url = new URL(href);
  url.hash = "";
  // by hand: Firefox lets no content script iterate URLSearchParams; what is kept keeps its spelling, too
  const pairs = url.search.slice(1).split("&");
  url.search = pairs.filter((pair) => pair && !isTracking(pair.split("=")[0] ?? "")).join("&");
  return url.href;
}

/** @param {string} name */
function isTracking(name) {
  const isMatch = (/** @type {string} */ known) =>
    known.endsWith("*") ? name.startsWith(known.slice(0, -1)) : name === known;
  return constants.TRACKING_PARAMETERS.some(isMatch);
}
