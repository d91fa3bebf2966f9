/**
 * Remembered reports by canonical URL, Space and model, with their age. The storage area is given.
 *
 * The index is small and read at once; each report lies under a key of its own.
 *
 * @typedef {import("./report.js").OkReport} OkReport
 * @typedef {import("./report.js").Label} Label
 *
 * @typedef {object} Area the part of chrome.storage that is needed
 * @property {(keys: string[]) => Promise<Record<string, unknown>>} get
 * @property {(items: Record<string, unknown>) => Promise<void>} set
 * @property {(keys: string[]) => Promise<void>} remove
 *
 * @typedef {object} HistoryEntry a line of the history
 * @property {string} key
 * @property {string} url canonical
 * @property {string} title
 * @property {Label} label
 * @property {number | null} probability
 * @property {string} models names and revisions
 * @property {"url" | "file" | "frames"} way
 * @property {number} savedAt ms since 1970
 * @property {number} sizeBytes
 */

import { modelNames } from "./labels.js";

const INDEX = "history";
const PREFIX = "report:";
export const MAX_BYTES = 7_000_000; // of all reports: browsers give an extension 10 MB

/**
 * Make the key of a check.
 * @param {string} space
 * @param {string} model asked for; empty: the Space's default
 * @param {string} url canonical
 */
export function cacheKey(space, model, url) {
  return `${space} ${model || "default"} ${url}`;
}

/** Keep reports up to a number and a size, the newest first. */
export class ReportCache {
  /** @type {Promise<unknown>} the last write: they happen one after the other */
  #last = Promise.resolve();

  /** @param {Area} area @param {() => number} now ms */
  constructor(area, now = Date.now) {
    this.area = area;
    this.now = now;
  }

  /**
   * Find a report.
   * @param {string} key
   * @returns {Promise<{report: unknown, savedAt: number} | null>}
   */
  async find(key) {
    const entry = (await this.entries()).find((one) => one.key === key);
    if (!entry) return null;
    const report = (await this.area.get([PREFIX + key]))[PREFIX + key];
    return report === undefined ? null : { report, savedAt: entry.savedAt };
  }

  /**
   * Find a report, unless newer ones show that the Space has replaced its model since.
   * @param {string} key
   */
  async findCurrent(key) {
    const entries = await this.entries();
    const entry = entries.find((one) => one.key === key);
    const newest = entry && entries.find((one) => isOfSameModel(one, entry));
    return newest && newest.models === entry.models ? this.find(key) : null;
  }

  /**
   * List all entries.
   * @returns {Promise<HistoryEntry[]>} newest first
   */
  async entries() {
    const found = (await this.area.get([INDEX]))[INDEX];
    return Array.isArray(found) ? found.filter(isEntry) : [];
  }

  /**
   * Save a report, and delete the oldest ones above a number.
   * @param {string} key
   * @param {string} url
   * @param {OkReport} report
   * @param {number} maxEntries 0: keep nothing
   */
  save(key, url, report, maxEntries) {
    return this.#enqueue(async () => {
      const entry = toEntry(key, url, report, this.now());
      const { kept, dropped } = trim([entry, ...(await this.entries()).filter((one) => one.key !== key)], maxEntries);
      await this.area.remove(dropped.map((one) => PREFIX + one.key));
      if (kept.includes(entry)) await this.area.set({ [PREFIX + key]: report });
      await this.area.set({ [INDEX]: kept });
    });
  }

  /**
   * Delete reports.
   * @param {string[]} keys
   */
  remove(keys) {
    return this.#enqueue(async () => {
      await this.area.remove(keys.map((key) => PREFIX + key));
      await this.area.set({ [INDEX]: (await this.entries()).filter((one) => !keys.includes(one.key)) });
    });
  }

  /**
   * @template T
   * @param {() => Promise<T>} step
   * @returns {Promise<T>}
   */
  #enqueue(step) {
    const next = this.#last.then(step);
    this.#last = next.catch(() => {});
    return next;
  }
}

/** @param {string} key @param {string} url @param {OkReport} report @param {number} savedAt @returns {HistoryEntry} */
function toEntry(key, url, report, savedAt) {
  return {
    key,
    url,
    title: report.source.title ?? "",
    label: report.verdict.label,
    probability: report.verdict.probability_fake,
    models: modelNames(report),
    way: report.source.kind,
    savedAt,
    sizeBytes: JSON.stringify(report).length,
  };
}

/**
 * Split entries into those that are kept and those that are too many, or too large together.
 * @param {HistoryEntry[]} entries newest first
 * @param {number} maxEntries
 * @returns {{kept: HistoryEntry[], dropped: HistoryEntry[]}}
 */
export function trim(entries, maxEntries) {
  let sizeBytes = 0;
  const firstTooMany = entries.findIndex((entry, place) => {
    sizeBytes += entry.sizeBytes;
    return place >= maxEntries || sizeBytes > MAX_BYTES;
  });
  const end = firstTooMany < 0 ? entries.length : firstTooMany;
  return { kept: entries.slice(0, end), dropped: entries.slice(end) };
}

/**
 * Tell whether the same Space was asked for the same model, whatever the video.
 * @param {HistoryEntry} a
 * @param {HistoryEntry} b
 */
function isOfSameModel(a, b) {
  return a.key.slice(0, -a.url.length) === b.key.slice(0, -b.url.length);
}

/** @param {unknown} value @returns {value is HistoryEntry} */
function isEntry(value) {
  const entry = /** @type {Partial<HistoryEntry> | null} */ (value);
  return typeof entry?.key === "string" && typeof entry.url === "string" && typeof entry.savedAt === "number";
}
