/**
 * Texts of the interface: tables in the shape of `_locales/<language>/messages.json`. Pure.
 *
 * @typedef {Record<string, {message: string, description?: string}>} Messages
 * @typedef {keyof typeof import("../_locales/en/messages.json")} MessageKey
 * @typedef {"action" | "detail" | "error" | "label" | "next" | "reason" | "stage"} CodeFamily
 * @typedef {CodeFamily | "help" | "lean" | "side" | "strength"} Family of keys that end with a code
 * @typedef {(key: MessageKey | `${Family}_${string}`, ...values: (string | number)[]) => string} Translate `$1`, `$2` …
 * in a message are the values
 *
 * @typedef {object} Locale
 * @property {string} language one of LANGUAGES
 * @property {Messages} messages
 * @property {Messages} fallback English
 */

export const LANGUAGES = ["en", "de", "es", "fr", "hi", "zh_CN", "ar"];
const RIGHT_TO_LEFT = ["ar"];

/**
 * Make the function that looks up texts.
 * @param {Messages} messages
 * @param {Messages} [fallback] where a key is missing
 * @returns {Translate} a missing key is its own text, so that a gap is seen and nothing breaks
 */
export function toTranslate(messages, fallback = {}) {
  return (key, ...values) => {
    const message = (lookUp(messages, key) ?? lookUp(fallback, key))?.message ?? key;
    return message.replace(/\$(\d)/g, (_, place) => String(values[Number(place) - 1] ?? ""));
  };
}

/** @param {Messages} messages @param {string} key */
function lookUp(messages, key) {
  return Object.hasOwn(messages, key) ? messages[key] : undefined;
}

/**
 * Choose the language of the interface.
 * @param {string} setting `auto`, or one of LANGUAGES
 * @param {string} browser BCP 47, such as `de-AT`
 */
export function chooseLanguage(setting, browser) {
  if (LANGUAGES.includes(setting)) return setting;
  const short = browser.toLowerCase().split(/[-_]/)[0] ?? "en";
  return LANGUAGES.find((language) => language.toLowerCase().split("_")[0] === short) ?? "en";
}

/**
 * Get the attributes of an element in a language.
 * @param {string} language one of LANGUAGES
 * @returns {{lang: string, dir: string}} lang: also for Intl
 */
export function languageAttributes(language) {
  return { lang: language.replace("_", "-"), dir: RIGHT_TO_LEFT.includes(language) ? "rtl" : "ltr" };
}
