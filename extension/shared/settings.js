/**
 * The settings, and their defaults. Pure.
 *
 * @typedef {"ask" | "always" | "never"} Consent to sending captured frames to the Space
 *
 * @typedef {"auto" | "local" | "space"} Place where checks are done; auto: here, unless a Space was chosen
 *
 * @typedef {object} Settings
 * @property {Place} place
 * @property {string} space an address, or `owner/name` of a hosted Space
 * @property {string} model empty: the Space's default
 * @property {Consent} consent
 * @property {boolean} hover a small button on videos under the pointer, on every page
 * @property {number} historySize reports that are remembered; 0: none
 * @property {string} language `auto` or one of i18n.LANGUAGES
 * @property {string[]} autoSites sites whose videos are checked as they play, as `https://www.example.org`
 *
 * @typedef {{value: string, origin: string}} Token of Hugging Face, for the one origin that it was given for
 */

import { fields } from "./json-values.js";
import { parseWebUrl } from "./urls.js";

/** @type {Readonly<Settings>} */
export const DEFAULTS = Object.freeze({
  place: "auto",
  space: "http://127.0.0.1:7860",
  model: "",
  consent: "ask",
  hover: false,
  historySize: 100,
  language: "auto",
  autoSites: [],
});
const MAX_HISTORY = 500;

/**
 * Read stored settings; what is missing or invalid gets its default.
 * @param {unknown} stored
 * @returns {Settings}
 */
export function toSettings(stored) {
  const from = fields(stored);
  const size = from.historySize;
  return {
    place: from.place === "local" || from.place === "space" ? from.place : DEFAULTS.place,
    space: typeof from.space === "string" && spaceAddress(from.space) ? from.space : DEFAULTS.space,
    model: typeof from.model === "string" ? from.model : DEFAULTS.model,
    consent: from.consent === "always" || from.consent === "never" ? from.consent : DEFAULTS.consent,
    hover: from.hover === true,
    historySize: typeof size === "number" && size >= 0 ? Math.min(Math.floor(size), MAX_HISTORY) : DEFAULTS.historySize,
    language: typeof from.language === "string" ? from.language : DEFAULTS.language,
    autoSites: Array.isArray(from.autoSites) ? from.autoSites.filter((site) => siteOf(site) === site) : [],
  };
}

/**
 * Tell whether checks are done on this computer.
 * @param {Settings} settings
 * @param {boolean} isPossible the extension was packed with the detector
 */
export function usesOnDevice({ place, space }, isPossible) {
  return place === "local" || (place === "auto" && isPossible && space === DEFAULTS.space);
}

/**
 * Get the site of a page, without a port, which permissions do not have.
 * @param {unknown} href
 * @returns {string | null}
 */
export function siteOf(href) {
  const url = parseWebUrl(href);
  return url && `${url.protocol}//${url.hostname}`;
}

/**
 * Get the token that may be sent to an address; none that was given for another one.
 * @param {unknown} stored
 * @param {string} address
 * @returns {string}
 */
export function tokenFor(stored, address) {
  const { value, origin } = fields(stored);
  return typeof value === "string" && URL.canParse(address) && new URL(address).origin === origin ? value : "";
}

/** Tell whether a token may be sent to an address: encrypted, or to this computer. @param {string} address */
export function canSendToken(address) {
  const { protocol, hostname } = new URL(address);
  return protocol === "https:" || /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

/**
 * Find the address at which a Space answers, without a slash at the end.
 * @param {string} text `owner/name`, a page on huggingface.co or any web address
 * @returns {string | null} null when it is no address
 */
export function spaceAddress(text) {
  const given = text.trim();
  const hosted = /^(?:https:\/\/huggingface\.co\/spaces\/)?([\w.-]+)\/([\w.-]+)\/?$/.exec(given);
  if (hosted) return `https://${subdomain(`${hosted[1]}-${hosted[2]}`)}.hf.space`;
  const url = parseWebUrl(given);
  return url && (url.origin + url.pathname).replace(/\/+$/, "");
}

/** @param {string} name */
function subdomain(name) {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

/**
 * Get the match pattern of a permission, without a port, which Firefox's do not have.
 * @param {string} address
 */
export function originPattern(address) {
  const url = new URL(address);
  return `${url.protocol}//${url.hostname}/*`;
}
