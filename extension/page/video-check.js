/**
 * One check of one video: its requests to the background, and what the overlay shows of them.
 *
 * @import { Progress } from "../shared/labels.js"
 * @import { Failure, Handshake, Snapshot } from "../shared/messages.js"
 * @import { FailedReport, OkReport } from "../shared/report.js"
 * @import { Target } from "./site-urls.js"
 */

import { sendToBackground } from "../shared/browser.js";
import { CheckError } from "../shared/errors.js";
import { languageAttributes, toTranslate } from "../shared/i18n.js";
import { formatClock, partOf, progressLabel, summarize, toLabel } from "../shared/labels.js";
import { failedReport, isOfVideo, isOnDevice, parseReport, withSite } from "../shared/report.js";
import { parseWebUrl } from "../shared/urls.js";
import { CANVAS_PLAN } from "./capture.js";
import { CaptureSession } from "./capture-session.js";
import { cancelCheck, requestCheck } from "./check-request.js";
import { glance, isSameVideo, picturesOf, shapeOf, watchPictures } from "./fingerprint.js";
import { Overlay } from "./overlay.js";
import * as panel from "./panel.js";
import { canSeek, wait } from "./player-state.js";
import { copyText, saveReport } from "./report-export.js";
import { findSiteLabel } from "./site-labels.js";
import { clickInside } from "./stopped-clicks.js";
import { drawTimeline, seek } from "./timeline.js";

const NEEDS_CAPTURE = new Set(["unsupported_site", "login_required", "blocked_address", "bad_url"]);
const LOST = new Set(["job_lost", "space_unreachable"]);
const SLEEP_MS = 10_000; // a timer that is so late means that the computer slept
const RESENDS_MS = [0, 3000, 10_000]; // a connection takes a while to come back
const NEEDS_PLAYER = new Set(["unsupported_site", "bad_url", "not_a_video"]); // only captured frames would help

/** Check a video and show the answer, until the signal aborts. */
export class VideoCheck {
  /** @type {string | null} of the check under way */
  #key = null;
  /** @type {import("../shared/labels.js").Part | null} of the video that was captured; null: all of it */
  #part = null;
  /** @type {string | undefined} of the report that is shown, which the next one of the video replaces */
  #shown;
  #onSpace = false; // whatever the settings say
  #hasSlept = false;
  #round = 0; // a newer request makes the answers to older ones void
  #timeline = new AbortController();
  #watching = new AbortController();

  /**
   * @param {object} parts
   * @param {HTMLVideoElement | null} parts.video null: behind a link
   * @param {Target} parts.target
   * @param {string} parts.title
   * @param {Handshake} parts.handshake
   * @param {boolean} parts.isAutomatic no person asked for it: a failure leaves no trace
   * @param {AbortController} parts.controller aborting it leaves no trace
   */
  constructor({ video, target, title, handshake, isAutomatic, controller }) {
    this.video = video;
    this.target = target;
    this.title = title;
    this.handshake = handshake;
    this.isAutomatic = isAutomatic;
    this.controller = controller;
    this.signal = controller.signal;
    const { language, messages, fallback } = handshake.locale;
    this.t = toTranslate(messages, fallback);
    this.attributes = languageAttributes(language);
    const onDismiss = () => (this.#cancelRequest(), controller.abort());
    const notice = /** @type {const} */ ({ type: "notice", text: this.t("answer_removed") });
    const onRemoved = () => void sendToBackground(notice).catch(() => {});
    const { t, attributes, signal } = this;
    this.overlay = new Overlay({ video, t, attributes, signal, onDismiss, onRemoved });
  }

  /**
   * Check the video's address, or captured frames where it has none.
   * @param {{model?: string | undefined, fresh?: boolean, onSpace?: boolean}} [options] fresh: not from the history
   */
  async check({ model, fresh = false, onSpace = this.#onSpace } = {}) {
    const round = ++this.#round;
    this.model = model;
    this.#onSpace = onSpace;
    this.#clearTimeline();
    const show = this.#showProgress(() => this.#cancel());
    show({ stage: "queued", fraction: 0, position: 0 });
    if (!fresh && (await this.#recall(round))) return;
    const { video, target } = this;
    if (this.#isOnDevice) return void (video ? this.#capture() : this.#fail(failedReport("needs_pictures", "")));
    const { url, isOwn } = target;
    if (url === null) return this.#fail(failedReport("unsupported_site", ""));
    const options = { url, isOwn, title: this.title, site: this.#site, model, onSpace, replaces: this.#shown };
    const fingerprint = video && glance(video, isOwn ? url : null);
    const report = await this.#follow(round, await requestCheck({ type: "check", fingerprint, ...options }), show);
    if (report?.status === "failed") this.#fail(report);
  }

  /**
   * Show the report of an earlier check of the same video, if there is one. Nobody's player is moved unasked.
   * @param {number} round
   * @returns {Promise<boolean>} whether it is done
   */
  async #recall(round) {
    const { video, model, target } = this;
    const shape = video && shapeOf(video);
    if (!video || !shape || this.isAutomatic) return false;
    const request = /** @type {const} */ ({ type: "remembered", shape, model, onSpace: this.#onSpace });
    const found = await sendToBackground(request).catch(() => []);
    for (const { key, report, savedAt, fingerprint } of Array.isArray(found) ? found : []) {
      if (!(await isSameVideo(video, fingerprint, target.isOwn ? target.url : null).catch(() => false))) continue;
      if (round === this.#round && !this.signal.aborted && report.status === "ok") {
        this.#shown = key;
        const pictures = picturesOf(fingerprint);
        const seconds = pictures.map((picture) => picture.seconds);
        this.#watch(pictures, fingerprint.duration);
        this.#showReport(
          report,
          savedAt,
          report.source.kind === "frames" ? partOf(seconds, fingerprint.duration) : null,
        );
      }
      return true;
    }
    return round !== this.#round || this.signal.aborted;
  }

  /**
   * End the check when the player shows another video than the one of these pictures.
   * @param {import("./fingerprint.js").LumaPicture[]} pictures empty: none whose time is sure
   * @param {number} length seconds
   */
  #watch(pictures, length) {
    this.#watching.abort();
    this.#watching = new AbortController();
    const signal = AbortSignal.any([this.signal, this.#watching.signal]);
    if (this.video && pictures.length)
      watchPictures(this.video, pictures, length, () => this.controller.abort(), signal);
  }

  /** End a check that no person asked for, unless it has its answer. */
  leave() {
    if (!this.isAutomatic || this.#shown) return;
    this.#cancelRequest();
    this.controller.abort();
  }

  /** Press the button that has the focus. @returns {boolean} false: none has */
  press() {
    const focused = this.overlay.shadow.activeElement;
    if (focused instanceof HTMLButtonElement) clickInside(focused);
    return focused instanceof HTMLButtonElement;
  }

  /** Open the panel: a person wants to see it. */
  open() {
    this.isAutomatic = false;
    this.overlay.toggle(true);
  }

  async #capture() {
    const { video, model, title } = this;
    if (!video) return;
    const round = ++this.#round;
    const stopping = new AbortController();
    const signal = AbortSignal.any([this.signal, stopping.signal]);
    const showCapture = this.#showProgress(() => stopping.abort());
    const { url, isOwn } = this.target;
    const page = parseWebUrl(location.href)?.href ?? document.baseURI; // of a frame without an address
    const options = {
      url: url ?? page,
      isOwn,
      model,
      title,
      site: this.#site,
      onSpace: this.#onSpace,
      replaces: this.#shown,
    };
    const session = new CaptureSession(video, options, this.overlay);
    const onProgress = (/** @type {number} */ fraction) => showCapture({ stage: "capture", fraction, position: 0 });
    try {
      onProgress(0);
      const answer = await session.run(onProgress, signal, !this.isAutomatic);
      this.#part = session.part;
      this.#watch(session.pictures, session.length);
      const show = this.#showProgress(() => this.#cancel());
      let report = await this.#follow(round, answer, show);
      for (const waitMs of RESENDS_MS) {
        if (report?.status !== "failed" || !this.#isLost(report.error.code)) break;
        await wait(waitMs);
        report = await this.#follow(round, await session.resend(), show);
      }
      if (report?.status === "failed") this.#fail(report);
    } catch (error) {
      session.cancel();
      if (!this.signal.aborted) this.#fail(failedReport(error instanceof CheckError ? error.code : "internal", ""));
    }
  }

  /**
   * Poll until there is a report; show it if it is ok.
   * @param {number} round
   * @param {Snapshot | Failure} answer
   * @param {(progress: Progress) => void} show
   * @returns {Promise<import("../shared/report.js").Report | null>} null: it is not waited for any more
   */
  async #follow(round, answer, show) {
    while (round === this.#round && !this.signal.aborted) {
      if ("failure" in answer) return failedReport(answer.failure, "");
      if (answer.finished) return this.#finish(answer);
      const { key, waitMs } = answer;
      this.#key = key;
      show(answer);
      const before = Date.now();
      await wait(waitMs);
      this.#hasSlept ||= Date.now() > before + waitMs + SLEEP_MS;
      answer = await requestCheck({ type: "poll", key });
    }
    return null;
  }

  /** @param {string} code why a check of frames failed; connections do not outlast a sleep */
  #isLost(code) {
    return LOST.has(code) || (code === "timeout" && this.#hasSlept);
  }

  /** @param {Snapshot} snapshot */
  #finish({ key, report: json }) {
    this.#key = null;
    const report = parseReport(json);
    if (report.status === "failed") return report;
    if (!this.#isOfPlayer(report)) return failedReport("other_video", "");
    this.#shown = key;
    this.#showReport(report, null, report.source.kind === "frames" ? this.#part : null);
    return report;
  }

  /** @param {OkReport} report what a Space fetched may be another video than the one in the player */
  #isOfPlayer(report) {
    const { video, target } = this;
    if (!video || target.isFile) return true;
    return isOfVideo(report, { duration: video.duration, aspect: video.videoWidth / video.videoHeight }, target.isOwn);
  }

  #cancel() {
    this.#round++;
    this.#cancelRequest();
    this.#showFailure(failedReport("cancelled", ""));
  }

  #cancelRequest() {
    if (this.#key) cancelCheck(this.#key);
    this.#key = null;
  }

  /** Whether this check is done on this computer: its frames are sent nowhere, so that no consent is needed. */
  get #isOnDevice() {
    return this.handshake.onDevice && !this.#onSpace;
  }

  /** How the page labels the video now. */
  get #site() {
    return findSiteLabel(document, this.target.url);
  }

  get #mayCapture() {
    return this.video !== null && (this.#isOnDevice || this.handshake.consent !== "never");
  }

  // --- what is shown

  /** @param {() => void} onCancel @returns {(progress: Progress) => void} */
  #showProgress(onCancel) {
    const { nodes, update } = panel.renderProgress(this.t, onCancel);
    this.overlay.fill(...nodes);
    return (progress) => {
      this.overlay.show(progressLabel(progress, this.t));
      update(progress);
    };
  }

  /**
   * @param {OkReport} report
   * @param {number | null} savedAt
   * @param {import("../shared/labels.js").Part | null} part
   */
  #showReport(report, savedAt, part) {
    const { t, video, overlay } = this;
    report = withSite(report, this.#site);
    const label = toLabel(report, t);
    const [from, to, length] = [part?.from ?? 0, part?.to ?? 0, part?.length ?? 0].map(formatClock);
    const note = part ? t("looked_at_part", from ?? "", to ?? "", length ?? "") : "";
    overlay.show(part ? { ...label, badge: `${label.badge ?? label.text} (${from}–${to})` } : label);
    overlay.say([`${label.text}.`, label.detail, note].filter(Boolean).join(" "));
    const options = { t, language: this.attributes.lang, actions: this.#actions(report), title: this.title, note };
    overlay.fill(...panel.renderReport(report, savedAt, options));
    const signal = AbortSignal.any([this.signal, this.#timeline.signal]);
    if (video && canSeek(video)) drawTimeline(overlay.strip, report, video, t, signal);
    overlay.place();
  }

  /** Show a failure; offer to capture frames where that may help. @param {FailedReport} report */
  #fail(report) {
    const { code, choices } = report.error;
    if (this.isAutomatic && this.overlay.panel.hidden) return this.controller.abort();
    const asks = choices.length > 0 && this.handshake.consent !== "always";
    if (this.#mayCapture && NEEDS_CAPTURE.has(code) && !asks) this.#askConsent(report);
    else this.#showFailure(report);
  }

  /** @param {FailedReport} report */
  #showFailure(report) {
    const actions = {
      retry: () => void this.check({ model: this.model, fresh: true }),
      capture: () => this.#askConsent(report),
      settings: () => void sendToBackground({ type: "open", path: "ui/options.html" }),
    };
    const { code, message, choices } = report.error;
    const isMissing = this.video === null && NEEDS_PLAYER.has(code) && !choices.length;
    const choose = (/** @type {string} */ url) => {
      this.target = { url, site: "page", isOwn: true, isFile: false };
      void this.check({ model: this.model });
    };
    const isDrawn = (isMissing || code === "needs_pictures") && hasLargeCanvas();
    const shown = isDrawn ? failedReport("canvas_player", "") : isMissing ? failedReport("no_player", message) : report;
    this.overlay.show(toLabel(shown, this.t));
    this.overlay.fill(...panel.renderFailure(shown, this.t, actions, this.#mayCapture, choose));
  }

  /**
   * Capture frames, after the consent where it is needed.
   * @param {FailedReport} [reason] shown again when it is declined
   */
  #askConsent(reason = failedReport("cancelled", "")) {
    const { handshake, overlay, t } = this;
    if (this.#isOnDevice || handshake.consent === "always") return void this.#capture();
    const count = CANVAS_PLAN.windows * CANVAS_PLAN.framesPerWindow;
    const once = () => void this.#capture();
    const always = () => {
      handshake.consent = "always";
      void sendToBackground({ type: "consent", consent: "always" });
      once();
    };
    const no = () => this.#showFailure(reason);
    overlay.show({ text: t("label_question"), tone: "uncertain", detail: t("capture_title") });
    overlay.fill(...panel.renderConsent(handshake.space ?? "", count, t, { once, always, no }));
    overlay.toggle(true);
  }

  #clearTimeline() {
    this.#timeline.abort();
    this.#timeline = new AbortController();
    this.overlay.strip.hidden = true;
    this.overlay.strip.replaceChildren();
  }

  /** @param {OkReport} report @returns {import("./panel.js").PanelActions} */
  #actions(report) {
    const { video, t, overlay } = this;
    const isCaptured = report.source.kind === "frames";
    const url = isCaptured ? null : this.target.url;
    const onSpace = {
      openSpace: () => void sendToBackground({ type: "open", path: "space", url }),
      chooseModel: () => void this.#chooseModel(),
    };
    return {
      ...(video && canSeek(video) ? { seek: (/** @type {number} */ seconds) => seek(video, seconds) } : {}),
      copy: () => void copyText(summarize(report, t), overlay.panel).then(() => overlay.say(t("copied"))),
      save: (kind) => saveReport(report, kind, t, this.attributes),
      ...(isOnDevice(report) ? { askSpace: () => void this.check({ onSpace: true }) } : onSpace),
      recheck: () => void (isCaptured && video ? this.#askConsent() : this.check({ fresh: true })),
    };
  }

  async #chooseModel() {
    const models = await sendToBackground({ type: "models" }).catch(() => []);
    const choose = (/** @type {string} */ model) => void this.check({ model, fresh: true });
    this.overlay.fill(...panel.renderModelChoice(Array.isArray(models) ? models : [], this.t, choose));
  }
}

/** Whether the page draws a large picture itself, perhaps of a video that it does not show. */
function hasLargeCanvas() {
  return [...document.querySelectorAll("canvas")].some((one) => Math.min(one.clientWidth, one.clientHeight) >= 160);
}
