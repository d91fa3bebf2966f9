/** Values of unknown JSON, each of the kind and within the limits that are asked for. Pure, never throws. */

const MAX_CODES = 64;
const MAX_TEXT = 2000; // characters
const MAX_PICTURE = 400_000; // characters of a data URL
const JPEG_URL = /^data:image\/jpeg;base64,[A-Za-z0-9+/]+={0,2}$/;
const CODE = /^[a-z0-9_]{1,64}$/;

/**
 * Copy the own enumerable fields of an object.
 * @param {unknown} value
 * @returns {Record<string, unknown>} none when it is no object
 */
export function fields(value) {
  const record = typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  return Object.assign(Object.create(null), record);
}

/**
 * Take a list, at most so many of it; none when it is no list.
 * @param {unknown} value
 * @param {number} most
 * @returns {unknown[]}
 */
export function list(value, most) {
  return Array.isArray(value) ? value.slice(0, most) : [];
}

/** Strip a text of control and direction characters. @param {unknown} value @returns {string} */
export function text(value) {
  if (typeof value !== "string") return "";
  return value
    .slice(0, MAX_TEXT)
    .replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]+/gu, " ")
    .trim();
}

/** Take a finite number. @param {unknown} value @returns {number | null} */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** Take a number that is not negative. @param {unknown} value @returns {number | null} */
export function seconds(value) {
  const found = number(value);
  return found === null || found < 0 ? null : found;
}

/** Take a number from 0 to 1. @param {unknown} value @returns {number | null} */
export function probability(value) {
  const found = number(value);
  return found === null || found < 0 || found > 1 ? null : found;
}

/** Take a stable code, as of an error or a reason. @param {unknown} value @returns {string | null} */
export function code(value) {
  return typeof value === "string" && CODE.test(value) ? value : null;
}

/** Take stable codes, each once. @param {unknown} value @returns {string[]} */
export function codes(value) {
  return [...new Set(list(value, MAX_CODES).flatMap((one) => code(one) ?? []))];
}

/** Take a JPEG as a data URL. @param {unknown} value @returns {string | null} */
export function picture(value) {
  return typeof value === "string" && value.length <= MAX_PICTURE && JPEG_URL.test(value) ? value : null;
}

/**
 * Take one of the known values.
 * @template {string} T
 * @param {readonly T[]} known
 * @param {unknown} value
 * @returns {T | null}
 */
export function oneOf(known, value) {
  return known.find((one) => one === value) ?? null;
}
