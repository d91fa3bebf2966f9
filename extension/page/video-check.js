/**
 * One check of one video: ask the worker, show what it says, until the answer is there or the signal aborts.
 *
 * @typedef {import("../background/check-manager.js").Snapshot} Snapshot
 * @typedef {import("../shared/report.js").Report} Report
 * @typedef {import("../shared/report.js").OkReport} OkReport
 * @typedef {import("./sites.js").Target} Target
 * @typedef {import("./capture.js").Frame} Frame
 * @typedef {{failure: string}} Failure
 * @typedef {import("../shared/browser.js").Speech} Speech
 *
 * @typedef {object} Hello what the worker says first
 * @property {Speech} speech
 * @property {string} space its address
 * @property {boolean} here checks are done on this computer, and nothing is sent
 * @property {import("../shared/settings.js").Consent} consent
 * @property {boolean} hover
 * @property {boolean} auto videos of this page are checked as they play
 */

import { isAlive, tellWorker } from "../shared/browser.js";
import { summary, toLabel, progressLabel } from "../shared/labels.js";
import { failedReport, isFromHere, toReport } from "../shared/report.js";
import { direction, tag, toWords } from "../shared/i18n.js";
import { Badge } from "./overlay.js";
import { canSeek, CANVAS_PLAN, capture, CaptureError } from "./capture.js";
import * as panel from "./panel.js";
import { copy, save } from "./report-export.js";
import { drawTimeline, seek } from "./timeline.js";

const ASKED_AGAIN = 3; // times, after an answer that never came
const ASK_AGAIN_MS = 500;

export class Visit {
  /** @type {string | null} key of the check under way */
  #key = null;
  #onSpace = false; // a person wants to know what the Space says, whatever the settings say
  #round = 0; // a newer question makes the answers to older ones void
  #timeline = new AbortController();

  /**
   * @param {object} parts
   * @param {HTMLVideoElement | null} parts.video null: behind a link
   * @param {Target} parts.target
   * @param {string} parts.title
   * @param {Hello} parts.hello
   * @param {boolean} parts.quiet nobody asked for it: a failure leaves no trace
   * @param {AbortController} parts.controller aborting it leaves no trace
   */
  constructor({ video, target, title, hello, quiet, controller }) {
    this.video = video;
    this.target = target;
    this.title = title;
    this.hello = hello;
    this.quiet = quiet;
    this.controller = controller;
    this.signal = controller.signal;
    this.words = toWords(hello.speech.table, hello.speech.fallback);
    this.language = { lang: tag(hello.speech.language), dir: direction(hello.speech.language) };
    const onDismiss = () => (this.cancelQuietly(), controller.abort());
    this.badge = new Badge({ video, words: this.words, ...this.language, signal: this.signal, onDismiss });
  }

  /** @param {{model?: string | undefined, fresh?: boolean, onSpace?: boolean}} [how] */
  async check({ model, fresh, onSpace = this.#onSpace } = {}) {
    const round = ++this.#round;
    this.model = model;
    this.#onSpace = onSpace;
    this.#clearTimeline();
    if (this.target.url === null) return this.#fail(failedReport(this.#isHere ? "needs_pictures" : "unsupported_site", ""));
    const show = this.#beginProgress();
    show({ stage: "queued", fraction: 0, position: 0 });
    await this.#follow(round, await this.#tell({ type: "check", url: this.target.url, model, fresh, onSpace }), { show });
  }

  /** Take pictures in the tab and have them checked: the first are looked at while the last are taken. */
  async capture() {
    const video = this.video;
    if (!video) return;
    const round = ++this.#round;
    const [stopping, taken] = [new AbortController(), new AbortController()];
    const signal = AbortSignal.any([this.signal, stopping.signal]);
    const show = this.#beginProgress(() => stopping.abort());
    const onProgress = (/** @type {number} */ fraction) => show({ stage: "capture", fraction, position: 0 });
    /** @type {Frame[][]} */
    const windows = [];
    let sent = this.#beginPictures();
    const onWindow = (/** @type {Frame[]} */ frames) => {
      windows.push(frames);
      sent = sent.then((begun) => this.#more(begun, frames));
    };
    addEventListener("pagehide", () => this.cancelQuietly(), { signal: taken.signal }); // nobody should wait for the rest
    try {
      onProgress(0);
      await capture(video, () => this.#screen(), { onProgress, onWindow }, signal, !this.quiet);
      taken.abort();
      const isLost = await this.#follow(round, await this.#more(await sent, null), { ofPictures: true });
      if (isLost) await this.#sendAgain(round, windows);
    } catch (error) {
      void sent.then(() => this.cancelQuietly());
      if (!this.signal.aborted) this.#fail(failedReport(error instanceof CaptureError ? error.code : "internal", ""));
    } finally {
      taken.abort();
      this.badge.hide(false);
    }
  }

  /** A check that nobody looks at any more need not be finished. */
  cancelQuietly() {
    if (this.#key) void tellWorker({ type: "cancel", key: this.#key }).catch(() => {});
    this.#key = null;
  }

  /** @returns {Promise<Snapshot | Failure>} */
  async #beginPictures() {
    const url = this.target.url ?? location.href;
    const begun = await this.#tell({ type: "frames", url, model: this.model, title: this.title, onSpace: this.#onSpace });
    if ("key" in begun) this.#key = begun.key;
    return begun;
  }

  /** @param {Snapshot | Failure} begun @param {Frame[] | null} frames null: that was all @returns {Promise<Snapshot | Failure>} */
  async #more(begun, frames) {
    return "key" in begun ? this.#tell({ type: "more", key: begun.key, frames }) : begun;
  }

  /** The worker was ended midway: once more, all of it. @param {number} round @param {Frame[][]} windows */
  async #sendAgain(round, windows) {
    let begun = await this.#beginPictures();
    for (const frames of [...windows, null]) begun = await this.#more(begun, frames);
    await this.#follow(round, begun, { ofPictures: true });
  }

  /** @returns {Promise<string>} the visible tab without anything of ours */
  async #screen() {
    this.badge.hide(true);
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const picture = await tellWorker({ type: "screen" });
    if (typeof picture !== "string") throw new CaptureError("capture_blocked");
    return picture;
  }

  /**
   * Show, wait, ask, until there is a report.
   *
   * @param {number} round
   * @param {Snapshot | Failure} snapshot
   * @param {{show?: (progress: import("../shared/labels.js").Progress) => void, ofPictures?: boolean}} [how]
   * @returns {Promise<boolean>} whether pictures were lost on the way
   */
  async #follow(round, snapshot, { show = this.#beginProgress(), ofPictures = false } = {}) {
    while (this.#isCurrent(round)) {
      if (!("key" in snapshot)) return this.#fail(failedReport(snapshot.failure, "")), false;
      if (snapshot.finished) return this.#finish(snapshot, ofPictures);
      this.#key = snapshot.key;
      show(snapshot);
      const { key, waitMs } = snapshot;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      snapshot = await this.#tell({ type: "ask", key });
    }
    return false;
  }

  /** @param {number} round */
  #isCurrent(round) {
    return round === this.#round && !this.signal.aborted;
  }

  /** A worker that is ended while it answers is asked once more. @param {Record<string, unknown>} message @returns {Promise<Snapshot | Failure>} */
  async #tell(message) {
    for (let left = ASKED_AGAIN; ; left--) {
      try {
        const said = await tellWorker(message);
        if (said || left === 0) return said && !said.problem ? said : { failure: "internal" };
      } catch {
        if (left === 0 || !isAlive()) return { failure: "internal" };
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }

  /** @param {Snapshot} snapshot @param {boolean} wasFrames @returns {boolean} whether pictures were lost on the way */
  #finish({ report: json, savedAt }, wasFrames) {
    this.#key = null;
    const report = json && "status" in json ? json : toReport(json);
    if (report.status === "ok") return this.#showAnswer(report, savedAt), false;
    if (wasFrames && report.error.code === "job_lost") return true;
    this.#fail(report);
    return false;
  }

  // --- what is shown

  /** @param {() => void} [cancel] @returns {(progress: import("../shared/labels.js").Progress) => void} shows how far it is */
  #beginProgress(cancel = () => this.#cancel()) {
    const { nodes, update } = panel.progress(this.words, cancel);
    this.badge.fill(...nodes);
    return (progress) => {
      this.badge.show(progressLabel(progress, this.words));
      update(progress);
    };
  }

  /** @param {OkReport} report @param {number | null} savedAt */
  #showAnswer(report, savedAt) {
    const { words, video } = this;
    const label = toLabel(report, words);
    this.badge.show(label);
    this.badge.say(`${label.text}. ${label.detail}`);
    const speech = { words, language: this.language.lang, deeds: this.#deeds(report), title: this.title };
    this.badge.fill(...panel.answer(report, savedAt, speech));
    if (video && canSeek(video)) drawTimeline(this.badge.strip, report, video, words, AbortSignal.any([this.signal, this.#timeline.signal]));
    this.badge.place();
  }

  /** A person wants to see it now. */
  open() {
    this.quiet = false;
    this.badge.toggle(true);
  }

  /** A failure; where pictures may help, they are offered at once. @param {import("../shared/report.js").FailedReport} report */
  #fail(report) {
    if (report.error.code === "needs_pictures" && this.video) return void this.capture();
    if (this.quiet && this.badge.panel.hidden) return this.controller.abort();
    if (this.#mayCapture() && NEEDS_CAPTURE.has(report.error.code)) this.#askToCapture(report);
    else this.#showFailure(report);
  }

  /** @param {import("../shared/report.js").FailedReport} report */
  #showFailure(report) {
    const does = {
      retry: () => void this.check({ model: this.model, fresh: true }),
      capture: () => this.#askToCapture(report),
      settings: () => void tellWorker({ type: "open", path: "ui/options.html" }),
    };
    const { code, message } = report.error;
    const told = this.video === null && NEEDS_PLAYER.has(code) ? failedReport("no_player", message) : report;
    this.badge.show(toLabel(told, this.words));
    this.badge.fill(...panel.failure(told, this.words, does, this.#mayCapture()));
  }

  #mayCapture() {
    return this.video !== null && (this.#isHere || this.hello.consent !== "never");
  }

  /** Whether this check is done on this computer: its pictures go nowhere, so there is nothing to ask. */
  get #isHere() {
    return this.hello.here && !this.#onSpace;
  }

  /** @param {import("../shared/report.js").FailedReport} [because] shown again when it is declined */
  #askToCapture(because = failedReport("cancelled", "")) {
    if (this.#isHere || this.hello.consent === "always") return void this.capture();
    const count = CANVAS_PLAN.windows * CANVAS_PLAN.framesPerWindow;
    const once = () => void this.capture();
    const always = () => {
      this.hello.consent = "always";
      void tellWorker({ type: "consent", consent: "always" });
      once();
    };
    const no = () => this.#showFailure(because);
    this.badge.show({ text: this.words("label_question"), tone: "uncertain", detail: this.words("capture_title") });
    this.badge.fill(...panel.question(this.hello.space, count, this.words, { once, always, no }));
    this.badge.toggle(true);
  }

  #cancel() {
    this.#round++;
    this.cancelQuietly();
    this.#showFailure(failedReport("cancelled", ""));
  }

  #clearTimeline() {
    this.#timeline.abort();
    this.#timeline = new AbortController();
    this.badge.strip.hidden = true;
    this.badge.strip.replaceChildren();
  }

  // --- what the buttons of an answer do

  /** @param {OkReport} report @returns {import("./panel.js").Deeds} */
  #deeds(report) {
    const { video } = this;
    return {
      ...(video && canSeek(video) ? { seek: (/** @type {number} */ seconds) => seek(video, seconds) } : {}),
      copy: () => void copy(summary(report, this.words), this.badge.panel).then(() => this.badge.say(this.words("copied"))),
      save: (kind) => save(report, kind, this.words, this.language),
      ...(isFromHere(report) ? { askSpace: () => void this.check({ onSpace: true }) } : this.#deedsOnSpace(report)),
      again: () => void (report.source.kind === "frames" && video ? this.#askToCapture() : this.check({ fresh: true })),
    };
  }

  /** @param {OkReport} report */
  #deedsOnSpace({ source }) {
    return {
      openSpace: () => void tellWorker({ type: "open", path: "space", url: source.kind === "frames" ? null : this.target.url }),
      models: () => void this.#chooseModel(),
    };
  }

  async #chooseModel() {
    const models = await tellWorker({ type: "models" }).catch(() => []);
    const names = Array.isArray(models) ? models : [];
    this.badge.fill(...panel.modelChoice(names, this.words, (model) => void this.check({ model, fresh: true })));
  }
}

const NEEDS_CAPTURE = new Set(["unsupported_site", "login_required", "blocked_address", "bad_url"]);
const NEEDS_PLAYER = new Set(["unsupported_site", "bad_url", "not_a_video"]); // only pictures of one would help
