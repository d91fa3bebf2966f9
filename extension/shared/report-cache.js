/**
 * Remembered reports with their age. The storage area is given. An address does not tell which video a player shows:
 * a report is found again by the video's shape, and shown where its pictures are the same, too.
 *
 * The index is small and read at once; each report lies under a key of its own, with the fingerprint of its video.
 *
 * @import { Label, OkReport } from "./report.js"
 * @import { Fingerprint, Shape } from "./messages.js"
 *
 * @typedef {object} Area the part of chrome.storage that is needed
 * @property {(keys: string[]) => Promise<Record<string, unknown>>} get
 * @property {(items: Record<string, unknown>) => Promise<void>} set
 * @property {(keys: string[]) => Promise<void>} remove
 *
 * @typedef {object} HistoryEntry a line of the history
 * @property {string} key
 * @property {string} url
 * @property {string} title
 * @property {Label} label
 * @property {number | null} probability
 * @property {import("./report.js").Evidence | null} [evidence] not in entries of older versions
 * @property {string} models names and revisions
 * @property {"url" | "file" | "frames"} way
 * @property {number} savedAt ms since 1970
 * @property {number} sizeBytes
 * @property {Shape | null} shape null: it cannot be recognised
 */

import { modelNames } from "./labels.js";
import { fields } from "./json-values.js";
import { parseReport } from "./report.js";

const INDEX = "history";
const PREFIX = "report:";
export const MAX_BYTES = 7_000_000; // of all reports: browsers give an extension 10 MB

const MAX_SIMILAR = 3;
const LENGTH_TOLERANCE_SECONDS = 0.5; // players correct the length of a stream while they load it
const ASPECT_TOLERANCE = 0.01;

/**
 * Make the key of a check.
 * @param {string} space
 * @param {string} model asked for; empty: the Space's default
 * @param {string} video its own address, or an id; without spaces
 */
export function cacheKey(space, model, video) {
  return `${space} ${model || "default"} ${video}`;
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
   * @returns {Promise<{report: unknown, fingerprint: Fingerprint | null} | null>}
   */
  async find(key) {
    const { fingerprint = null, ...report } = fields((await this.area.get([PREFIX + key]))[PREFIX + key]);
    return "schema" in report ? { report, fingerprint: /** @type {Fingerprint | null} */ (fingerprint) } : null;
  }

  /**
   * Find reports of videos of the same shape, unless newer ones show that the Space has replaced its model since.
   * @param {string} space
   * @param {string} model
   * @param {Shape} shape
   * @returns {Promise<import("./messages.js").Remembered[]>} newest first
   */
  async findSimilar(space, model, shape) {
    const entries = (await this.entries()).filter(({ key }) => key.startsWith(cacheKey(space, model, "")));
    const current = entries.filter(({ models }) => models === entries[0]?.models);
    const similar = current.filter((entry) => entry.shape && isSameShape(entry.shape, shape)).slice(0, MAX_SIMILAR);
    const found = similar.map(async ({ key, savedAt }) => {
      const { report, fingerprint } = (await this.find(key)) ?? { fingerprint: null };
      return fingerprint ? [{ key, savedAt, report: parseReport(report), fingerprint }] : [];
    });
    return (await Promise.all(found)).flat();
  }

  /** List all entries. @returns {Promise<HistoryEntry[]>} newest first */
  async entries() {
    const found = (await this.area.get([INDEX]))[INDEX];
    return Array.isArray(found) ? found.filter(isEntry) : [];
  }

  /**
   * Save a report, and delete the oldest ones above a number. Where the storage is full, the report is not kept.
   * @param {string} key
   * @param {string} url
   * @param {OkReport} report
   * @param {Fingerprint | null} fingerprint null: it is kept for the history page only
   * @param {number} maxEntries 0: keep nothing
   */
  save(key, url, report, fingerprint, maxEntries) {
    return this.#enqueue(async () => {
      const stored = { ...report, fingerprint };
      const entry = toEntry(key, url, stored, this.now());
      const { kept, dropped } = trim([entry, ...(await this.entries()).filter((one) => one.key !== key)], maxEntries);
      await this.area.remove(dropped.map((one) => PREFIX + one.key));
      const isSaved = kept.includes(entry) && (await this.#write({ [PREFIX + key]: stored }));
      if (!isSaved) await this.area.remove([PREFIX + key]);
      await this.area.set({ [INDEX]: kept.filter((one) => one !== entry || isSaved) });
    });
  }

  /** Delete reports. @param {string[]} keys */
  remove(keys) {
    return this.#enqueue(async () => {
      await this.area.remove(keys.map((key) => PREFIX + key));
      await this.area.set({ [INDEX]: (await this.entries()).filter((one) => !keys.includes(one.key)) });
    });
  }

  /** @param {Record<string, unknown>} items @returns {Promise<boolean>} false: the storage is full */
  #write(items) {
    const written = this.area.set(items);
    return written.then(
      () => true,
      () => false,
    );
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

/**
 * @param {string} key
 * @param {string} url
 * @param {OkReport & {fingerprint: Fingerprint | null}} report
 * @param {number} savedAt
 * @returns {HistoryEntry}
 */
function toEntry(key, url, report, savedAt) {
  return {
    key,
    url,
    title: report.source.title ?? "",
    label: report.verdict.label,
    probability: report.verdict.probability_fake,
    evidence: report.verdict.evidence,
    models: modelNames(report),
    way: report.source.kind,
    savedAt,
    sizeBytes: JSON.stringify(report).length,
    shape: report.fingerprint && { duration: report.fingerprint.duration, aspect: report.fingerprint.aspect },
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

/** @param {Shape} a @param {Shape} b */
function isSameShape(a, b) {
  const isSameLength = Math.abs(a.duration - b.duration) <= LENGTH_TOLERANCE_SECONDS;
  return isSameLength && Math.abs(a.aspect / b.aspect - 1) <= ASPECT_TOLERANCE;
}

/** @param {unknown} value @returns {value is HistoryEntry} */
function isEntry(value) {
  const entry = /** @type {Partial<HistoryEntry> | null} */ (value);
  return typeof entry?.key === "string" && typeof entry.url === "string" && typeof entry.savedAt === "number";
}
