/**
 * The checks under way: one job a video, however many tabs ask for it.
 *
 * The browser may end the background at any time, so a job lives in session storage and pages poll: every poll wakes
 * the background, which asks the Space. Nothing here calls the browser; storage, history and clients are given.
 *
 * @import { CheckOptions, Fingerprint, Frame, Snapshot } from "../shared/messages.js"
 * @import { Report, SiteLabel } from "../shared/report.js"
 * @import { Area, ReportCache } from "../shared/report-cache.js"
 * @import { SpaceClient } from "./space-client.js"
 *
 * @typedef {object} CheckRecord what is stored of a check
 * @property {string | null} job id on the Space; empty: it has not answered yet; null: captured frames are checked
 * @property {string} url
 * @property {string} title
 * @property {SiteLabel | null} site how its page labels the video
 * @property {string} tab with its frame, in which it was begun
 * @property {string} model
 * @property {boolean} onSpace whatever the settings say
 * @property {boolean} isPrivate begun in a private window: the history does not get it
 * @property {number} failures polls in a row that got no answer
 * @property {boolean} resubmitted
 * @property {Fingerprint | null} fingerprint of the video in the player
 * @property {number} startedAt
 * @property {number} polledAt
 * @property {Snapshot} snapshot
 *
 * @typedef {object} Backend where checks are done
 * @property {Pick<SpaceClient, "address" | "submit" | "job" | "cancel" | "checkFrames">} client
 * @property {string} model
 *
 * @typedef {object} Capture frames that are being checked
 * @property {Snapshot} snapshot
 * @property {AbortController} controller
 * @property {AsyncQueue<Frame[]>} windows
 * @property {Fingerprint | null} fingerprint of the video, once all frames are there
 */

import { AsyncQueue, FRAMES_TIMEOUT_MS } from "../shared/async-queue.js";
import { CheckError } from "../shared/errors.js";
import { fields } from "../shared/json-values.js";
import { failedReport, isOfVideo, parseReport, withSite } from "../shared/report.js";
import { cacheKey } from "../shared/report-cache.js";
import { THIS_COMPUTER } from "./on-device-client.js";
import { backOffMs } from "./space-client.js";

const PREFIX = "check:";
const MIN_POLL_MS = 300; // tabs that poll sooner get the last answer
const MAX_FAILURES = 7; // in a row, 2 minutes with the waits between them
const WAITING_MS = 15_000; // a tab that polled within this time still waits for the answer
const KEPT_MS = 10 * 60_000; // so long tabs that poll late get a finished check
const MAX_LISTED = 4;
const CAPTURE_POLL_MS = 700;
const LOST_MS = 3000; // a connection that breaks so late had been made
const FORBIDDEN = "permission_needed"; // it was taken back

/** Start, follow and cancel checks. */
export class CheckManager {
  /**
   * By the check's key; lost when the browser ends the background, as are the next two.
   *
   * @type {Map<string, Promise<Snapshot>>}
   */
  #requests = new Map();
  /** @type {Map<string, Map<string, number>>} which frames of tabs wait, and when they last asked */
  #waiting = new Map();
  /** @type {Map<string, Capture>} */
  #captures = new Map();

  /**
   * @param {object} parts
   * @param {Area & {all: () => Promise<Record<string, unknown>>}} parts.session
   * @param {ReportCache} parts.cache
   * @param {(onSpace: boolean) => Promise<Backend>} parts.getBackend fails where it may not be reached any more
   * @param {() => Promise<number>} parts.getHistorySize how many reports are remembered
   * @param {() => number} [parts.now]
   */
  constructor({ session, cache, getBackend, getHistorySize, now = Date.now }) {
    this.session = session;
    this.cache = cache;
    this.getBackend = getBackend;
    this.getHistorySize = getHistorySize;
    this.now = now;
  }

  /**
   * Find reports in the history that may be of the same video.
   * @param {Extract<import("../shared/messages.js").Request, {type: "remembered"}>} request
   */
  async remembered({ shape, model, onSpace }) {
    const backend = await this.getBackend(onSpace);
    return this.cache.findSimilar(backend.client.address, model || backend.model, shape);
  }

  /**
   * Start a check, or join one of the same video that is under way.
   * @param {CheckOptions & {fingerprint?: Fingerprint | null}} options
   * @param {string} [tab] with its frame
   * @returns {Promise<Snapshot>}
   */
  async start({ fingerprint = null, ...options }, tab = "") {
    const backend = await this.getBackend(options.onSpace ?? false);
    const [key, model] = identify(options, backend);
    this.#noteWaiting(key, tab);
    return this.#dedupe(key, async () => {
      const known = await this.#load(key);
      if (known && !known.snapshot.finished) return known.snapshot;
      await this.#purge();
      const record = this.#newRecord("", { ...options, model }, tab, pending(key, "queued"));
      return this.#submit({ ...record, fingerprint }, backend);
    });
  }

  /**
   * Tell how far a check is.
   * @param {string} key
   * @param {string} [tab]
   * @returns {Promise<Snapshot>}
   */
  async poll(key, tab = "") {
    this.#noteWaiting(key, tab);
    return this.#dedupe(key, async () => {
      const record = await this.#load(key);
      if (!record) return this.#fromHistory(key); // it finished long ago
      if (record.snapshot.finished || this.now() - record.polledAt < MIN_POLL_MS) return record.snapshot;
      if (record.job !== null) return this.#pollSpace(record, record.job);
      return this.#captures.get(key)?.snapshot ?? this.#finish(record, failed(key, "job_lost"));
    });
  }

  /**
   * List the latest checks of a tab, also those whose page has moved on.
   * @param {number} tabId
   * @returns {Promise<import("../shared/messages.js").TabCheck[]>}
   */
  async listTab(tabId) {
    const records = (await this.#records()).filter(({ tab }) => tab.startsWith(`${tabId} `));
    const latest = records.sort((a, b) => b.startedAt - a.startedAt).slice(0, MAX_LISTED);
    const list = latest.map(async ({ title, url, tab, fingerprint, snapshot: { key } }) => {
      const snapshot = await this.poll(key, tab);
      const isOther = snapshot.report?.status === "ok" && fingerprint && !isOfVideo(snapshot.report, fingerprint, true);
      return { title: title || url, snapshot: isOther ? failed(key, "other_video") : snapshot };
    });
    return Promise.all(list);
  }

  /**
   * Stop waiting for a check; it ends unless another tab waits for it.
   * @param {string} key
   * @param {string} [tab]
   * @returns {Promise<Snapshot>}
   */
  async cancel(key, tab = "") {
    const snapshot = failed(key, "cancelled");
    if (this.#othersWait(key, tab)) return snapshot;
    const record = await this.#load(key);
    this.#captures.get(key)?.controller.abort();
    if (!record) return snapshot;
    const { job, onSpace } = record;
    if (job)
      await this.getBackend(onSpace)
        .then(({ client }) => client.cancel(job))
        .catch(() => false);
    return this.#finish(record, snapshot);
  }

  /**
   * Start to check captured frames, which `addFrames` brings window by window.
   * @param {CheckOptions} options
   * @param {string} [tab] with its frame
   * @returns {Promise<Snapshot>}
   */
  async startCapture(options, tab = "") {
    const { url, title = "" } = options;
    const backend = await this.getBackend(options.onSpace ?? false);
    const [key, model] = identify({ ...options, isOwn: false }, backend);
    const onDevice = backend.client.address === THIS_COMPUTER;
    const snapshot = pending(key, onDevice ? "faces" : "send");
    const record = this.#newRecord(null, { ...options, model }, tab, snapshot);
    await this.#purge();
    await this.#store(record);
    this.#captures.get(key)?.controller.abort();
    const controller = new AbortController();
    const { signal } = controller;
    const windows = new AsyncQueue({ signal, timeoutMs: FRAMES_TIMEOUT_MS });
    const capture = { snapshot, controller, windows, fingerprint: null };
    this.#captures.set(key, capture);
    const items = backend.client.checkFrames({ windows, pageUrl: url, model: record.model, title }, signal);
    void this.#follow(record, capture, items, onDevice);
    return snapshot;
  }

  /**
   * Add frames to a check.
   * @param {string} key
   * @param {Frame[] | null} frames null: there are no more
   * @param {Fingerprint | null} [fingerprint] of the video, with the last
   * @returns {Promise<Snapshot>}
   */
  async addFrames(key, frames, fingerprint = null) {
    const capture = this.#captures.get(key);
    if (capture) {
      capture.fingerprint = fingerprint;
      if (frames) capture.windows.push(frames);
      else capture.windows.end();
      return capture.snapshot;
    }
    const record = await this.#load(key);
    return record?.snapshot.finished ? record.snapshot : failed(key, "job_lost");
  }

  /**
   * @param {CheckRecord} record
   * @param {Capture} capture
   * @param {AsyncGenerator<unknown>} items progress, then the report
   * @param {boolean} onDevice
   */
  async #follow(record, capture, items, onDevice) {
    const { key } = record.snapshot;
    let last;
    try {
      for await (last of items) capture.snapshot = toSnapshot(key, last, CAPTURE_POLL_MS);
      const { fingerprint } = capture;
      await this.#finish({ ...record, fingerprint }, finished(key, parseReport(last, onDevice)));
    } catch (error) {
      if (capture.controller.signal.aborted) return;
      await this.#finish(record, failed(key, await this.#codeOf(error, record.onSpace)));
    } finally {
      capture.windows.end(); // nobody waits for the next one
      if (this.#captures.get(key) === capture) this.#captures.delete(key);
    }
  }

  /** @param {CheckRecord} record @param {Backend} backend */
  async #submit(record, { client }) {
    const { key } = record.snapshot;
    const askedAt = this.now();
    try {
      return await this.#submitJob(record, client);
    } catch (error) {
      const code = await this.#codeOf(error, record.onSpace);
      const isLost = code === "space_unreachable" && this.now() - askedAt > LOST_MS;
      if (code !== "timeout" && !isLost) return failed(key, code);
      await this.#store(record); // it is only slow, or just waking up, or we slept: `poll` submits again
      return record.snapshot;
    }
  }

  /**
   * Tell why a Space gave no answer: what looks like a lost connection may be a permission that was taken back.
   * @param {unknown} error
   * @param {boolean} onSpace
   * @returns {Promise<string>}
   */
  async #codeOf(error, onSpace) {
    const code = codeOf(error);
    const asked = code === "space_unreachable" ? this.getBackend(onSpace) : null;
    return asked ? asked.then(() => code, codeOf) : code;
  }

  /**
   * Submit a job; equal jobs are done once there, so that it does no harm to submit one that had arrived after all.
   * @param {CheckRecord} record
   * @param {Backend["client"]} client
   * @returns {Promise<Snapshot>}
   */
  async #submitJob(record, client) {
    const { job, report } = await client.submit(record.url, record.model);
    if (typeof job !== "string") return this.#finish(record, finished(record.snapshot.key, parseReport(report, false)));
    await this.#store({ ...record, job, failures: 0 });
    return record.snapshot;
  }

  /** @param {CheckRecord} record @param {string} job @returns {Promise<Snapshot>} */
  async #pollSpace(record, job) {
    const { key } = record.snapshot;
    try {
      const backend = await this.getBackend(record.onSpace);
      if (!job) return await this.#submitJob(record, backend.client);
      const state = await backend.client.job(job);
      if (isLost(state) && !record.resubmitted) return await this.#resubmit(record, backend);
      if (state.report) return await this.#finish(record, finished(key, parseReport(state.report, false)));
      const snapshot = toSnapshot(key, state, backOffMs(0, this.now() - record.startedAt));
      await this.#store({ ...record, snapshot, failures: 0, polledAt: this.now() });
      return snapshot;
    } catch (error) {
      const failures = record.failures + 1;
      const code = await this.#codeOf(error, record.onSpace);
      if (failures > MAX_FAILURES || code === FORBIDDEN) return this.#finish(record, failed(key, code));
      const snapshot = { ...record.snapshot, waitMs: backOffMs(failures, 0) };
      await this.#store({ ...record, snapshot, failures, polledAt: this.now() });
      return snapshot;
    }
  }

  /**
   * Submit a job again to a Space that was restarted and has lost it.
   * @param {CheckRecord} record
   * @param {Backend} backend
   */
  async #resubmit({ fingerprint, tab, snapshot: { key }, ...options }, backend) {
    const record = this.#newRecord("", options, tab, pending(key, "queued"));
    const snapshot = await this.#submit({ ...record, fingerprint }, backend);
    const stored = await this.#load(key);
    if (stored && !snapshot.finished) await this.#store({ ...stored, resubmitted: true });
    return snapshot;
  }

  /** @param {CheckRecord} record @param {Snapshot} snapshot @returns {Promise<Snapshot>} */
  async #finish(record, snapshot) {
    const { key } = snapshot;
    const report = snapshot.report?.status === "ok" ? withSite(snapshot.report, record.site) : snapshot.report;
    snapshot = { ...snapshot, report };
    if (report?.status === "ok" && !record.isPrivate) {
      const fingerprint = record.fingerprint && isOfVideo(report, record.fingerprint) ? record.fingerprint : null;
      await this.cache.save(key, record.url, report, fingerprint, await this.getHistorySize());
    }
    await this.#store({ ...record, snapshot, polledAt: this.now() }); // whoever sees it finds it in the history
    return snapshot;
  }

  /** @param {string} key @returns {Promise<Snapshot>} */
  async #fromHistory(key) {
    const found = await this.cache.find(key);
    return found ? finished(key, parseReport(found.report)) : failed(key, "job_lost");
  }

  /**
   * @param {string | null} job
   * @param {CheckOptions} options
   * @param {string} tab
   * @param {Snapshot} snapshot
   * @returns {CheckRecord}
   */
  #newRecord(job, { url, title = "", site = null, model = "", onSpace = false, isPrivate = false }, tab, snapshot) {
    const counters = { failures: 0, resubmitted: false, startedAt: this.now(), polledAt: 0 };
    return { job, url, title, site, tab, model, onSpace, isPrivate, ...counters, fingerprint: null, snapshot };
  }

  /** @param {string} key @returns {Promise<CheckRecord | null>} */
  async #load(key) {
    const stored = (await this.session.get([PREFIX + key]))[PREFIX + key];
    return /** @type {CheckRecord | undefined} */ (stored) ?? null;
  }

  /** @param {CheckRecord} record */
  async #store(record) {
    const items = { [PREFIX + record.snapshot.key]: record };
    await this.session.set(items).catch(async () => (await this.#purge(0), this.session.set(items))); // it is full
  }

  /** Delete the records of checks that finished long ago. */
  async #purge(keptMs = KEPT_MS) {
    const isOld = (/** @type {CheckRecord} */ { snapshot, polledAt }) =>
      snapshot.finished && polledAt + keptMs < this.now();
    const old = (await this.#records()).filter(isOld);
    await this.session.remove(old.map(({ snapshot }) => PREFIX + snapshot.key));
  }

  /** @returns {Promise<CheckRecord[]>} */
  async #records() {
    const stored = Object.entries(await this.session.all()).filter(([name]) => name.startsWith(PREFIX));
    return stored.map(([, record]) => /** @type {CheckRecord} */ (record));
  }

  /** @param {string} key @param {string} tab */
  #noteWaiting(key, tab) {
    const waiting = this.#waiting.get(key) ?? new Map();
    this.#waiting.set(key, waiting.set(tab, this.now()));
  }

  /** @param {string} key @param {string} tab that waits no longer */
  #othersWait(key, tab) {
    const waiting = this.#waiting.get(key);
    waiting?.delete(tab);
    return [...(waiting?.values() ?? [])].some((polledAt) => polledAt + WAITING_MS > this.now());
  }

  /**
   * Answer equal requests at the same time once.
   * @param {string} key
   * @param {() => Promise<Snapshot>} answer
   */
  #dedupe(key, answer) {
    const running = this.#requests.get(key);
    if (running) return running;
    const request = answer().finally(() => this.#requests.delete(key));
    this.#requests.set(key, request);
    return request;
  }
}

/**
 * Make the key of a check: one of its own, unless its address stands for one video only.
 * @param {CheckOptions} options
 * @param {Backend} backend
 * @returns {[string, string]} key, model
 */
function identify({ url, isOwn, replaces, model: chosen }, backend) {
  const model = chosen || backend.model;
  const toKey = (/** @type {string} */ video) => cacheKey(backend.client.address, model, video);
  return [replaces?.startsWith(toKey("")) ? replaces : toKey(isOwn ? url : crypto.randomUUID()), model];
}

/** @param {string} key @param {string} stage @returns {Snapshot} */
function pending(key, stage) {
  return { key, finished: false, stage, fraction: 0, position: 0, report: null, waitMs: 400 };
}

/** @param {string} key @param {Report} report @returns {Snapshot} */
function finished(key, report) {
  return { key, finished: true, stage: "done", fraction: 1, position: 0, report, waitMs: 0 };
}

/** @param {string} key @param {string} code */
function failed(key, code) {
  return finished(key, failedReport(code, ""));
}

/** @param {string} key @param {unknown} state unknown JSON @param {number} waitMs @returns {Snapshot} */
function toSnapshot(key, state, waitMs) {
  const { stage, ...from } = fields(state);
  const [fraction, position] = [Number(from.fraction), Number(from.position)];
  return {
    ...pending(key, typeof stage === "string" ? stage : "queued"),
    fraction: fraction >= 0 && fraction <= 1 ? fraction : 0,
    position: position > 0 ? Math.floor(position) : 0,
    waitMs,
  };
}

/**
 * Tell whether a Space was restarted, or is stopping: a job that is cancelled from here is never polled.
 * @param {Record<string, unknown>} state of a job
 */
function isLost(state) {
  const report = state.report ? parseReport(state.report) : null;
  if (report?.status !== "failed") return false;
  return report.error.code === "cancelled" || (report.error.code === "bad_input" && state.stage === "queued");
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof CheckError ? error.code : "space_unreachable";
}
