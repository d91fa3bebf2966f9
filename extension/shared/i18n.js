/**
 * The words of the interface: tables in the shape of `_locales/<language>/messages.json`. Pure.
 *
 * @typedef {Record<string, {message: string, description?: string}>} Table
 * @typedef {(key: string, ...values: (string | number)[]) => string} Words `$1`, `$2` … in a message are the values
 */

export const LANGUAGES = ["en", "de", "es", "fr", "hi", "zh_CN", "ar"];
const RIGHT_TO_LEFT = ["ar"];

/**
 * @param {Table} table
 * @param {Table} [fallback] where the table lacks a key
 * @returns {Words} a missing key stands for itself, so that a gap is seen and nothing breaks
 */
export function toWords(table, fallback = {}) {
  return (key, ...values) => {
    const message = (own(table, key) ?? own(fallback, key))?.message ?? key;
    return message.replace(/\$(\d)/g, (_, place) => String(values[Number(place) - 1] ?? ""));
  };
}

/** @param {Table} table @param {string} key */
function own(table, key) {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/**
 * The table to use for a browser's language.
 *
 * @param {string} wanted `auto`, or one of LANGUAGES
 * @param {string} browser BCP 47, such as `de-AT`
 */
export function chooseLanguage(wanted, browser) {
  if (LANGUAGES.includes(wanted)) return wanted;
  const short = browser.toLowerCase().split(/[-_]/)[0] ?? "en";
  return LANGUAGES.find((known) => known.toLowerCase().split("_")[0] === short) ?? "en";
}

/** @param {string} language one of LANGUAGES */
export function direction(language) {
  return RIGHT_TO_LEFT.includes(language) ? "rtl" : "ltr";
}

/** @param {string} language one of LANGUAGES @returns {string} for the `lang` attribute and Intl */
export function tag(language) {
  return language.replace("_", "-");
}
