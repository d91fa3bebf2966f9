/**
 * Reports by canonical URL, Space and model, with their age. Lives in a storage area that it is given.
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
 * @typedef {object} Entry a line of the history
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

const INDEX = "history";
const PREFIX = "report:";
export const MAX_BYTES = 7_000_000; // of all reports: browsers give an extension 10 MB

/** @param {string} space @param {string} model asked for; empty: the Space's default @param {string} url canonical */
export function cacheKey(space, model, url) {
  return `${space} ${model || "default"} ${url}`;
}

export class Cache {
  /** @type {Promise<unknown>} writes happen one after the other */
  #last = Promise.resolve();

  /**
   * @param {Area} area
   * @param {() => number} now ms
   */
  constructor(area, now = Date.now) {
    this.area = area;
    this.now = now;
  }

  /** @param {string} key @returns {Promise<{report: unknown, savedAt: number} | null>} */
  async find(key) {
    const entry = (await this.history()).find((one) => one.key === key);
    if (!entry) return null;
    const report = (await this.area.get([PREFIX + key]))[PREFIX + key];
    return report === undefined ? null : { report, savedAt: entry.savedAt };
  }

  /** As `find`, but nothing of a model that the Space has replaced since, as newer reports tell. @param {string} key */
  async findCurrent(key) {
    const entries = await this.history();
    const entry = entries.find((one) => one.key === key);
    const newest = entry && entries.find((one) => isOfSameModel(one, entry));
    return newest && newest.models === entry.models ? this.find(key) : null;
  }

  /** @returns {Promise<Entry[]>} newest first */
  async history() {
    const found = (await this.area.get([INDEX]))[INDEX];
    return Array.isArray(found) ? found.filter(isEntry) : [];
  }

  /**
   * Keep a report, and forget the oldest ones above `most`.
   *
   * @param {string} key
   * @param {string} url
   * @param {OkReport} report
   * @param {number} most 0: keep nothing
   */
  save(key, url, report, most) {
    return this.#inTurn(async () => {
      const entry = toEntry(key, url, report, this.now());
      const { kept, dropped } = trim([entry, ...(await this.history()).filter((one) => one.key !== key)], most);
      await this.area.remove(dropped.map((one) => PREFIX + one.key));
      if (kept.includes(entry)) await this.area.set({ [PREFIX + key]: report });
      await this.area.set({ [INDEX]: kept });
    });
  }

  /** @param {string[]} keys */
  forget(keys) {
    return this.#inTurn(async () => {
      await this.area.remove(keys.map((key) => PREFIX + key));
      await this.area.set({ [INDEX]: (await this.history()).filter((one) => !keys.includes(one.key)) });
    });
  }

  /**
   * @template T
   * @param {() => Promise<T>} step
   * @returns {Promise<T>}
   */
  #inTurn(step) {
    const next = this.#last.then(step);
    this.#last = next.catch(() => {});
    return next;
  }
}

/** @param {string} key @param {string} url @param {OkReport} report @param {number} savedAt @returns {Entry} */
export function toEntry(key, url, report, savedAt) {
  return {
    key,
    url,
    title: report.source.title ?? "",
    label: report.verdict.label,
    probability: report.verdict.probability_fake,
    models: report.models.map((model) => `${model.name} ${model.revision}`.trim()).join(", "),
    way: report.source.kind,
    savedAt,
    sizeBytes: JSON.stringify(report).length,
  };
}

/**
 * @param {Entry[]} entries newest first
 * @param {number} most
 * @returns {{kept: Entry[], dropped: Entry[]}}
 */
export function trim(entries, most) {
  let sizeBytes = 0;
  const firstTooMany = entries.findIndex((entry, place) => {
    sizeBytes += entry.sizeBytes;
    return place >= most || sizeBytes > MAX_BYTES;
  });
  const end = firstTooMany < 0 ? entries.length : firstTooMany;
  return { kept: entries.slice(0, end), dropped: entries.slice(end) };
}

/** Whether the same Space was asked for the same model, whatever the video. @param {Entry} a @param {Entry} b */
function isOfSameModel(a, b) {
  return a.key.slice(0, -a.url.length) === b.key.slice(0, -b.url.length);
}

/** @param {unknown} value @returns {value is Entry} */
function isEntry(value) {
  const entry = /** @type {Partial<Entry> | null} */ (value);
  return typeof entry?.key === "string" && typeof entry.url === "string" && typeof entry.savedAt === "number";
}
