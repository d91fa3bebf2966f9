/**
 * Frames that are captured from a player and sent to be checked, window by window.
 *
 * @import { Fingerprint } from "../shared/messages.js"
 * @import { CapturedFrame } from "./capture.js"
 * @typedef {import("../shared/messages.js").Snapshot | import("../shared/messages.js").Failure} Answer
 */

import { sendToBackground } from "../shared/browser.js";
import { CheckError } from "../shared/errors.js";
import { partOf } from "../shared/labels.js";
import { captureWindows } from "./capture.js";
import { cancelCheck, requestCheck } from "./check-request.js";
import { isReadable, shapeOf, toFingerprint } from "./fingerprint.js";
import { lengthOf, wait } from "./player-state.js";
import { isFloating } from "./video-elements.js";
import { boxInTab, coveredShare } from "./visibility.js";

const TAB_INTERVAL_MS = 600; // browsers allow two captures of a tab a second
const TAB_TRIES = 5; // at a picture of a video that moves, or is covered
const MAX_COVERED = 0.5;
const DRAW_TIMEOUT_MS = 250; // a tab in the background draws nothing

/** Capture frames while the first are checked already. */
export class CaptureSession {
  /** @type {CapturedFrame[][]} kept until there is an answer: a background that is ended loses them */
  #windows = [];
  /** @type {Fingerprint | null} once all is captured */
  #fingerprint = null;
  /** @type {Promise<Answer>} to the last request */
  #sent;
  #nextTabAt = 0;
  length = NaN; // seconds of the video as it began; a stream may grow
  /** @type {string | null} of the check, once it has begun */
  #key = null;

  /**
   * @param {HTMLVideoElement} video
   * @param {import("../shared/messages.js").CheckOptions & {title: string}} options
   * @param {import("./overlay.js").Overlay} overlay hidden from captures of the tab
   */
  constructor(video, options, overlay) {
    this.video = video;
    this.options = options;
    this.overlay = overlay;
    this.#sent = this.#start();
  }

  /**
   * Capture and send all windows.
   * @param {(fraction: number) => void} onProgress
   * @param {AbortSignal} signal
   * @param {boolean} mayDisturb false: the player is neither paused nor muted
   * @returns {Promise<Answer>} to the last request
   * @throws {CheckError} when there is nothing to check
   */
  async run(onProgress, signal, mayDisturb) {
    const done = new AbortController();
    addEventListener("pagehide", () => this.cancel(), { signal: done.signal }); // nothing should wait for the rest
    try {
      const windows = captureWindows(this.video, () => this.#captureTab(), onProgress, signal, mayDisturb);
      for await (const captured of windows) {
        if (!this.#windows.length) this.length = lengthOf(this.video);
        this.#windows.push(captured);
        this.#send(captured);
      }
      this.#fingerprint = this.#describe();
      return await this.#send(null);
    } finally {
      done.abort();
    }
  }

  /** Send everything once more, to a background that was ended midway. @returns {Promise<Answer>} */
  resend() {
    this.#sent = this.#start();
    for (const captured of this.#windows) this.#send(captured);
    return this.#send(null);
  }

  /** Cancel the check: at once where it has begun, as the page may be about to close. */
  cancel() {
    if (this.#key) cancelCheck(this.#key);
    else void this.#sent.then((answer) => "key" in answer && cancelCheck(answer.key));
  }

  async #start() {
    const answer = await requestCheck({ type: "capture", ...this.options });
    if ("key" in answer) this.#key = answer.key;
    return answer;
  }

  /** @param {CapturedFrame[] | null} captured null: there are no more */
  #send(captured) {
    const frames = captured && captured.map(({ frame }) => frame);
    const fingerprint = captured ? null : this.#fingerprint;
    this.#sent = this.#sent.then((last) =>
      "key" in last ? requestCheck({ type: "frames", key: last.key, frames, fingerprint }) : last,
    );
    return this.#sent;
  }

  /** @returns {Fingerprint | null} null where the video could not be recognised later */
  #describe() {
    const { url, isOwn } = this.options;
    return isReadable(this.video) ? toFingerprint(shapeOf(this.video), isOwn ? url : null, this.pictures) : null;
  }

  /**
   * Capture the visible tab without the overlay, which is seen between two pictures; once more where the video moved
   * meanwhile, or something was over it, such as an advertisement.
   *
   * @returns {ReturnType<import("./capture.js").CaptureTab>}
   */
  async #captureTab() {
    for (let tries = TAB_TRIES; tries > 0; tries--) {
      if (isFloating(this.video)) throw new CheckError("capture_floating");
      const box = boxInTab(this.video);
      if (!box) throw new CheckError("capture_blocked"); // in a frame of another site
      const { picture, isCovered } = await this.#captureBare();
      if (!isCovered && JSON.stringify(box) === JSON.stringify(boxInTab(this.video))) return { picture, box };
    }
    throw new CheckError("capture_stopped");
  }

  async #captureBare() {
    await wait(this.#nextTabAt - performance.now());
    this.#nextTabAt = performance.now() + TAB_INTERVAL_MS;
    try {
      this.overlay.hide(true);
      const drawn = new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      await Promise.race([drawn, wait(DRAW_TIMEOUT_MS)]);
      const picture = document.hidden ? null : await sendToBackground({ type: "screenshot" });
      if (document.hidden) throw new CheckError("capture_stopped"); // it may be a picture of another tab
      if (typeof picture !== "string") throw new CheckError("capture_blocked");
      return { picture, isCovered: coveredShare(this.video) > MAX_COVERED };
    } finally {
      this.overlay.hide(false);
    }
  }

  /** The captured pictures whose times are sure. */
  get pictures() {
    const sure = this.#windows.flat().filter(({ isPassing }) => !isPassing);
    return sure.map(({ frame, luma }) => ({ seconds: frame.seconds, luma }));
  }

  /**
   * Tell which part of the video was looked at.
   * @returns {import("../shared/labels.js").Part | null} null: all of it, or its length is not known
   */
  get part() {
    const seconds = this.#windows.flat().map(({ frame }) => frame.seconds);
    return partOf(seconds, lengthOf(this.video));
  }
}
