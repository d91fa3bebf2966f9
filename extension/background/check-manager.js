/**
 * Checks that are asked for, by the video they are of: one job per video however many tabs ask.
 *
 * The worker is ended at any time, so a job lives in session storage, and pages pull: every question wakes the
 * worker, which asks the Space. Nothing here knows the browser; storage, cache and Space are given.
 *
 * @typedef {import("../shared/report-cache.js").Area} Area
 * @typedef {import("../shared/report-cache.js").Cache} Cache
 * @typedef {import("./space-client.js").SpaceApi} SpaceApi
 * @typedef {import("./space-client.js").Frame} Frame
 * @typedef {import("../shared/report.js").Report} Report
 *
 * @typedef {object} Snapshot a check at one moment
 * @property {string} key
 * @property {boolean} finished
 * @property {string} stage
 * @property {number} fraction 0..1
 * @property {number} position 1: next in the queue; 0: not waiting
 * @property {Report | null} report present when, and only when, it has finished
 * @property {number | null} savedAt ms; of a remembered report
 * @property {number} waitMs when to ask again
 *
 * @typedef {object} Ticket what is stored of a check
 * @property {string | null} job id on the Space; empty: it has not answered yet; null: pictures are being checked
 * @property {string} url
 * @property {string} model
 * @property {number} failures questions in a row that got no answer
 * @property {boolean} resubmitted
 * @property {boolean} onSpace whatever the settings say
 * @property {number} startedAt
 * @property {number} askedAt
 * @property {Snapshot} snapshot
 *
 * @typedef {object} Where the Space, and how much to remember
 * @property {Pick<SpaceApi, "address" | "submit" | "job" | "cancel" | "checkFrames">} space
 * @property {string} model
 * @property {number} historySize
 */

import { cacheKey } from "../shared/report-cache.js";
import { THIS_COMPUTER } from "./on-device-client.js";
import { failedReport, toReport } from "../shared/report.js";
import { SpaceError } from "./space-client.js";
import { Windows } from "../shared/frame-stream.js";

const PREFIX = "check:";
const MIN_ASK_MS = 300; // tabs that ask sooner get the last answer
const MAX_FAILURES = 7; // in a row, 2 minutes with the waits between them
const ATTENDED_MS = 15_000; // who asked within this time still waits for the answer
const KEPT_MS = 10 * 60_000; // a finished check is told to late askers this long

export class Checks {
  /** @type {Map<string, Promise<Snapshot>>} questions under way in this life of the worker */
  #asking = new Map();
  /** @type {Map<string, Map<string, number>>} who waits for what, and when they last asked */
  #waiting = new Map();
  /** @type {Map<string, {snapshot: Snapshot, controller: AbortController, windows: Windows}>} pictures under way in this life */
  #streams = new Map();

  /**
   * @param {object} parts
   * @param {Area & {all: () => Promise<Record<string, unknown>>}} parts.session
   * @param {Cache} parts.cache
   * @param {(onSpace: boolean) => Promise<Where>} parts.where
   * @param {() => number} [parts.now]
   */
  constructor({ session, cache, where, now = Date.now }) {
    this.session = session;
    this.cache = cache;
    this.where = where;
    this.now = now;
  }

  /**
   * Begin a check, join one under way, or remember one.
   *
   * @param {object} asked
   * @param {string} asked.url
   * @param {string | undefined} [asked.model]
   * @param {boolean | undefined} [asked.fresh] do not remember
   * @param {boolean | undefined} [asked.onSpace] whatever the settings say
   * @param {string} [asked.who] a frame of a tab
   * @returns {Promise<Snapshot>}
   */
  async start({ url, model = "", fresh = false, onSpace = false, who = "" }) {
    const where = await this.where(onSpace);
    const key = cacheKey(where.space.address, model || where.model, url);
    this.#note(key, who);
    return this.#once(key, async () => {
      const remembered = fresh ? null : await this.#remembered(key);
      if (remembered) return remembered;
      const record = await this.#load(key);
      if (record && !record.snapshot.finished) return record.snapshot;
      await this.#forgetOld();
      return this.#submit(this.#record("", url, model || where.model, onSpace, waiting(key, "queued")), where.space);
    });
  }

  /** How far a check is. @param {string} key @param {string} [who] @returns {Promise<Snapshot>} */
  async ask(key, who = "") {
    this.#note(key, who);
    return this.#once(key, async () => {
      const record = await this.#load(key);
      if (!record) return (await this.#remembered(key)) ?? this.#failed(key, "job_lost");
      if (record.snapshot.finished || this.now() - record.askedAt < MIN_ASK_MS) return record.snapshot;
      if (record.job === null) return this.#streams.get(key)?.snapshot ?? this.#finish(record, this.#failed(key, "job_lost"));
      return this.#poll(record, record.job);
    });
  }

  /** Wait no longer; the work stops, too, unless someone else waits for it. @param {string} key @param {string} [who] @returns {Promise<Snapshot>} */
  async cancel(key, who = "") {
    if (this.#othersWait(key, who)) return this.#failed(key, "cancelled");
    const record = await this.#load(key);
    this.#streams.get(key)?.controller.abort();
    const { space } = await this.where(record?.onSpace ?? false);
    if (record?.job) await space.cancel(record.job).catch(() => false);
    const snapshot = this.#failed(key, "cancelled");
    return record ? this.#finish(record, snapshot) : snapshot;
  }

  /**
   * Check pictures taken from the player, which `more` brings window by window; `ask` tells how far it is.
   *
   * @param {{url: string, model?: string | undefined, title: string, onSpace?: boolean | undefined}} asked
   * @returns {Promise<Snapshot>}
   */
  async startFrames({ url, model = "", title, onSpace = false }) {
    const where = await this.where(onSpace);
    const key = cacheKey(where.space.address, model || where.model, url);
    const isHere = where.space.address === THIS_COMPUTER;
    const record = this.#record(null, url, model || where.model, onSpace, waiting(key, isHere ? "faces" : "send"));
    await this.#store(record);
    this.#streams.get(key)?.controller.abort();
    const controller = new AbortController();
    const windows = new Windows(controller.signal);
    const stream = { snapshot: record.snapshot, controller, windows };
    this.#streams.set(key, stream);
    const items = where.space.checkFrames({ windows, pageUrl: url, model: record.model, title }, stream.controller.signal);
    void this.#follow(record, stream, items, isHere);
    return record.snapshot;
  }

  /** @param {string} key @param {Frame[] | null} frames null: that was all @returns {Promise<Snapshot>} */
  async more(key, frames) {
    const stream = this.#streams.get(key);
    stream?.windows.take(frames);
    if (stream) return stream.snapshot;
    const record = await this.#load(key);
    return record?.snapshot.finished ? record.snapshot : this.#failed(key, "job_lost");
  }

  /**
   * @param {Ticket} record
   * @param {{snapshot: Snapshot, controller: AbortController}} stream
   * @param {AsyncGenerator<unknown>} items
   * @param {boolean} isHere it is checked on this computer
   */
  async #follow(record, stream, items, isHere) {
    const { key } = record.snapshot;
    let last;
    try {
      for await (last of items) stream.snapshot = toSnapshot(key, last, 700);
      await this.#finish(record, finished(key, toReport(last, isHere)));
    } catch (error) {
      if (stream.controller.signal.aborted) return;
      await this.#finish(record, this.#failed(key, codeOf(error)));
    } finally {
      if (this.#streams.get(key) === stream) this.#streams.delete(key);
    }
  }

  /** @param {Ticket} record @param {Where["space"]} space */
  async #submit(record, space) {
    const { key } = record.snapshot;
    try {
      return await this.#enter(record, space);
    } catch (error) {
      if (codeOf(error) !== "timeout") return this.#failed(key, codeOf(error));
      await this.#store(record); // it is only slow, or just waking up: `ask` submits again
      return record.snapshot;
    }
  }

  /** Equal work is done once there, so that it does no harm to submit what had arrived after all. @param {Ticket} record @param {Where["space"]} space @returns {Promise<Snapshot>} */
  async #enter(record, space) {
    const { job, report } = await space.submit(record.url, record.model);
    if (typeof job !== "string") return this.#finish(record, finished(record.snapshot.key, toReport(report, false)));
    await this.#store({ ...record, job, failures: 0 });
    return record.snapshot;
  }

  /** @param {Ticket} record @param {string} job @returns {Promise<Snapshot>} */
  async #poll(record, job) {
    const { key } = record.snapshot;
    const { space } = await this.where(record.onSpace);
    try {
      if (!job) return await this.#enter(record, space);
      const said = await space.job(job);
      if (isLost(said) && !record.resubmitted) return await this.#resubmit(record, space);
      if (said.report) return await this.#finish(record, finished(key, toReport(said.report, false)));
      const waitMs = backOffMs(0, this.now() - record.startedAt);
      const snapshot = toSnapshot(key, said, waitMs);
      await this.#store({ ...record, snapshot, failures: 0, askedAt: this.now() });
      return snapshot;
    } catch (error) {
      const failures = record.failures + 1;
      if (failures > MAX_FAILURES) return this.#finish(record, this.#failed(key, codeOf(error)));
      const snapshot = { ...record.snapshot, waitMs: backOffMs(failures, 0) };
      await this.#store({ ...record, snapshot, failures, askedAt: this.now() });
      return snapshot;
    }
  }

  /** The Space was started anew and knows nothing of the job. @param {Ticket} record @param {Where["space"]} space */
  async #resubmit({ url, model, onSpace, snapshot: { key } }, space) {
    const snapshot = await this.#submit(this.#record("", url, model, onSpace, waiting(key, "queued")), space);
    const stored = await this.#load(snapshot.key);
    if (stored && !snapshot.finished) await this.#store({ ...stored, resubmitted: true });
    return snapshot;
  }

  /** @param {Ticket} record @param {Snapshot} snapshot @returns {Promise<Snapshot>} */
  async #finish(record, snapshot) {
    const { historySize } = await this.where(record.onSpace);
    await this.#store({ ...record, snapshot, askedAt: this.now() });
    if (snapshot.report?.status === "ok") await this.cache.save(snapshot.key, record.url, snapshot.report, historySize);
    return snapshot;
  }

  /** @param {string} key @returns {Promise<Snapshot | null>} */
  async #remembered(key) {
    const found = await this.cache.findCurrent(key);
    const report = found && toReport(found.report);
    return report?.status === "ok" ? { ...finished(key, report), savedAt: found?.savedAt ?? null } : null;
  }

  /** @param {string | null} job @param {string} url @param {string} model @param {boolean} onSpace @param {Snapshot} snapshot @returns {Ticket} */
  #record(job, url, model, onSpace, snapshot) {
    return { job, url, model, onSpace, failures: 0, resubmitted: false, startedAt: this.now(), askedAt: 0, snapshot };
  }

  /** @param {string} key @param {string} code */
  #failed(key, code) {
    return finished(key, failedReport(code, ""));
  }

  /** @param {string} key @returns {Promise<Ticket | null>} */
  async #load(key) {
    const stored = (await this.session.get([PREFIX + key]))[PREFIX + key];
    return /** @type {Ticket | undefined} */ (stored) ?? null;
  }

  /** @param {Ticket} record */
  async #store(record) {
    await this.session.set({ [PREFIX + record.snapshot.key]: record });
  }

  async #forgetOld() {
    const stored = Object.entries(await this.session.all()).filter(([name]) => name.startsWith(PREFIX));
    const isOld = (/** @type {Ticket} */ record) => record.snapshot.finished && record.askedAt + KEPT_MS < this.now();
    const old = stored.filter(([, record]) => isOld(/** @type {Ticket} */ (record)));
    await this.session.remove(old.map(([name]) => name));
  }

  /** @param {string} key @param {string} who */
  #note(key, who) {
    const waiting = this.#waiting.get(key) ?? new Map();
    this.#waiting.set(key, waiting.set(who, this.now()));
  }

  /** @param {string} key @param {string} who no longer waits */
  #othersWait(key, who) {
    const waiting = this.#waiting.get(key);
    waiting?.delete(who);
    return [...(waiting?.values() ?? [])].some((askedAt) => askedAt + ATTENDED_MS > this.now());
  }

  /** Equal questions at the same time get one answer. @param {string} key @param {() => Promise<Snapshot>} answer */
  #once(key, answer) {
    const under = this.#asking.get(key);
    if (under) return under;
    const asking = answer().finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }
}

/**
 * How long to wait before the next question: longer the longer it takes, doubled with every failure, with jitter
 * so that many tabs do not ask at the same moment.
 *
 * @param {number} failures in a row
 * @param {number} elapsedMs since the check began
 * @param {() => number} random
 */
export function backOffMs(failures, elapsedMs, random = Math.random) {
  const calm = Math.min(600 + elapsedMs / 20, 4000);
  const wait = failures ? Math.min(1000 * 2 ** failures, 30_000) : calm;
  return Math.round(wait * (0.8 + 0.4 * random()));
}

/** @param {string} key @param {string} stage @returns {Snapshot} */
function waiting(key, stage) {
  return { key, finished: false, stage, fraction: 0, position: 0, report: null, savedAt: null, waitMs: 400 };
}

/** @param {string} key @param {Report} report @returns {Snapshot} */
function finished(key, report) {
  return { key, finished: true, stage: "done", fraction: 1, position: 0, report, savedAt: null, waitMs: 0 };
}

/** @param {string} key @param {unknown} said @param {number} waitMs @returns {Snapshot} */
function toSnapshot(key, said, waitMs) {
  const from = /** @type {{[name: string]: unknown}} */ (typeof said === "object" && said ? said : {});
  const [fraction, position] = [Number(from.fraction), Number(from.position)];
  return {
    ...waiting(key, typeof from.stage === "string" ? from.stage : "queued"),
    fraction: fraction >= 0 && fraction <= 1 ? fraction : 0,
    position: position > 0 ? Math.floor(position) : 0,
    waitMs,
  };
}

/** A Space that was started anew or is stopping; a job that is cancelled from here is never asked for. @param {{[name: string]: unknown}} said */
function isLost(said) {
  const report = said.report ? toReport(said.report) : null;
  if (report?.status !== "failed") return false;
  return report.error.code === "cancelled" || (report.error.code === "bad_input" && said.stage === "queued");
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof SpaceError ? error.code : "space_unreachable";
}
