/**
 * A player that is sought and held still while frames are captured, and put back afterwards. It is held by its rate,
 * so that it does not look paused to the page; a pause, a volume or a place that a person chooses meanwhile stands.
 */

import { afterAwake } from "../shared/awake-timer.js";
import { CheckError } from "../shared/errors.js";

const SEEK_TIMEOUT_MS = 15_000; // a player that needs longer to seek is stuck
const PLAY_TIMEOUT_MS = 3000; // one without a source never answers
const LOAD_TIMEOUT_MS = 12_000;
const LOOK_MS = 100;
const PAINT_TIMEOUT_MS = 2000; // a slow computer paints late, and a canvas draws what is painted
const UNSEEN_TIMEOUT_MS = 250; // a video out of view may never be painted
const NUDGE_SECONDS = 0.5; // so far players jump over gaps by themselves
const ENDLESS_SECONDS = 2 ** 31; // players of live streams give 2^32 as their length
const END_SECONDS = 0.1; // so long before its end a video is put back: at the end, the site would go to its next clip

/** @type {WeakSet<HTMLVideoElement>} players whose last seek was not painted in time, as of one out of view */
const unpainted = new WeakSet();

/** Hold a player until it is released. */
export class HeldPlayer {
  #listening = new AbortController();
  #isPaused; // as it was left here; otherwise a person did it
  #target = NaN; // of the last seek from here
  #isMutedHere = false;

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
    this.source = sourceOf(video);
    const { paused, muted, playbackRate, preload, ended, duration } = video;
    const currentTime = ended ? Math.max(0, duration - END_SECONDS) : video.currentTime;
    this.before = { currentTime, paused, muted, playbackRate, preload };
    this.#isPaused = paused;
    const { signal } = this.#listening;
    for (const type of ["play", "pause"]) video.addEventListener(type, () => this.#notePause(), { signal });
    video.addEventListener("seeking", () => this.#noteSeek(), { signal });
    this.still();
  }

  /**
   * Wait until the length is known: a video that loads nothing before it is played is played for that.
   * @throws {CheckError} when there is no picture to come
   */
  async load() {
    const { video } = this;
    starting.add(video);
    await this.#loadLength().finally(() => starting.delete(video));
    if (video.videoWidth === 0) throw new CheckError("no_picture");
    this.still();
  }

  async #loadLength() {
    const { video } = this;
    let looks = LOAD_TIMEOUT_MS / LOOK_MS;
    if (video.readyState < HTMLMediaElement.HAVE_METADATA && !video.error) {
      if (video.preload === "none") video.preload = "metadata";
      await this.play();
    }
    while (video.readyState < HTMLMediaElement.HAVE_METADATA) {
      await wait(LOOK_MS); // a page may choose the source only when it is played, or load it anew
      const isEmpty = video.networkState === HTMLMediaElement.NETWORK_EMPTY;
      const hasFailed = video.error || video.networkState === HTMLMediaElement.NETWORK_NO_SOURCE;
      if (isEmpty) throw new CheckError("no_source");
      if (hasFailed || looks-- < 0) throw new CheckError("source_failed");
    }
  }

  /** Stop where it is. */
  still() {
    const { video, before } = this;
    if (before.paused && !video.paused) {
      this.#isPaused = true;
      video.pause();
    } else if (!before.paused) video.playbackRate = 0;
  }

  /** Play on, without sound where there was none. */
  async play() {
    const { video, before } = this;
    if (video.playbackRate === 0) video.playbackRate = before.playbackRate || video.defaultPlaybackRate;
    if (!video.paused) return;
    this.#isMutedHere ||= !video.muted;
    video.muted = true;
    this.#isPaused = false;
    await Promise.race([video.play().catch(() => {}), wait(PLAY_TIMEOUT_MS)]);
  }

  /**
   * Seek.
   * @param {number} seconds
   * @returns {Promise<number | null>} the true time of the frame that is painted; null: it is stuck, as where a live
   *   stream, whose length grows meanwhile, has no pictures any more
   */
  async seek(seconds) {
    const { video } = this;
    const from = video.currentTime;
    const isShown = from === seconds && !video.seeking && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    let isOver = false; // a slow computer paints frames of an earlier seek late
    const painted = nextFrameTime(video, (time) => isOver || Math.abs(time - seconds) <= Math.abs(time - from));
    void painted.then(() => unpainted.delete(video));
    const anyPainted = Number.isNaN(this.#target) ? painted : nextFrameTime(video); // at first, what played before
    const done = new AbortController();
    const { signal } = done;
    const length = lengthOf(video);
    const isThere = await new Promise((resolve) => {
      signal.addEventListener(
        "abort",
        afterAwake(SEEK_TIMEOUT_MS, () => resolve(false)),
      );
      video.addEventListener("durationchange", () => lengthOf(video) > length + 1 && resolve(false), { signal });
      video.addEventListener("seeked", () => resolve(true), { signal });
      this.#target = video.currentTime = seconds;
    });
    done.abort();
    if (!isThere) return null;
    const none = wait(isShown || unpainted.has(video) ? UNSEEN_TIMEOUT_MS : PAINT_TIMEOUT_MS).then(() => NaN);
    const isPainting = (await Promise.race([anyPainted, none])) >= 0;
    if (!isPainting && !isShown) unpainted.add(video);
    // of a few frames a second, the one before is painted again
    const shown = isPainting ? await Promise.race([painted, wait(UNSEEN_TIMEOUT_MS).then(() => NaN)]) : NaN;
    isOver = true;
    return shown >= 0 ? shown : video.currentTime;
  }

  /** Put everything back that a person has not changed. */
  release() {
    this.#listening.abort();
    const { video, before } = this;
    if (video.playbackRate === 0) video.playbackRate = before.playbackRate || video.defaultPlaybackRate;
    if (this.#isMutedHere && video.muted) video.muted = before.muted;
    if (video.preload !== before.preload) video.preload = before.preload;
    if (!isSameSource(this.source, sourceOf(video))) return;
    const isMoved = video.currentTime !== before.currentTime && (canSeek(video) || before.paused);
    if (isMoved && endOf(video) >= before.currentTime) video.currentTime = before.currentTime;
    if (before.paused)
      video.pause(); // also what has nothing to play yet
    else if (video.paused) void video.play().catch(() => {});
  }

  #notePause() {
    const { video, before } = this;
    if (video.paused === this.#isPaused || video.ended) return;
    this.#isPaused = before.paused = video.paused;
    if (!video.paused) this.still();
  }

  #noteSeek() {
    const { currentTime, loop } = this.video;
    const isOwn = Math.abs(currentTime - this.#target) < NUDGE_SECONDS || (loop && currentTime < NUDGE_SECONDS);
    if (!isOwn) this.before.currentTime = currentTime;
  }
}

/**
 * Measure the length of a video.
 * @param {HTMLVideoElement} video
 * @returns {number} seconds; Infinity for a live stream, NaN while it is not known
 */
export function lengthOf({ duration }) {
  return duration < ENDLESS_SECONDS ? duration : duration + Infinity;
}

/** Tell whether a player can seek, unlike that of a live stream. @param {HTMLVideoElement} video */
export function canSeek(video) {
  const length = lengthOf(video);
  return length > 0 && length < Infinity && endOf(video) > 0;
}

/** @param {HTMLVideoElement} video @returns {number} seconds up to which it can be sought */
function endOf({ seekable }) {
  return seekable.length > 0 ? seekable.end(seekable.length - 1) : 0;
}

/**
 * Wait until the next frame is painted.
 * @param {HTMLVideoElement} video
 * @returns {Promise<number>} its time; where the player is when nothing is painted
 */
export function nextPaint(video) {
  return Promise.race([nextFrameTime(video), wait(UNSEEN_TIMEOUT_MS).then(() => video.currentTime)]);
}

/**
 * @param {HTMLVideoElement} video
 * @param {(time: number) => boolean} [isMeant]
 * @returns {Promise<number>}
 */
function nextFrameTime(video, isMeant = () => true) {
  return new Promise((resolve) => {
    const look = () =>
      video.requestVideoFrameCallback((_, { mediaTime }) => (isMeant(mediaTime) ? resolve(mediaTime) : look()));
    look();
  });
}

/** Wait. @param {number} ms */
export function wait(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// --- which source a player has

const GROWTH_SECONDS = 15; // by which the length of a stream may grow that is still being loaded
const LENGTH_TOLERANCE_SECONDS = 1;

/**
 * @typedef {object} VideoSource
 * @property {string} src
 * @property {unknown} object
 * @property {number} duration seconds
 * @property {number} loads how often it was emptied: the next clip may come from the very same address
 */

/** @type {WeakMap<HTMLVideoElement, {count: number}>} */
const loads = new WeakMap();
/** @type {WeakSet<HTMLVideoElement>} players that a check plays for their length: a page may load those anew */
const starting = new WeakSet();

/** Tell what a player plays now. @param {HTMLVideoElement} video @returns {VideoSource} */
export function sourceOf(video) {
  const { currentSrc, srcObject } = video;
  const known = loads.get(video) ?? { count: 0 };
  if (!loads.has(video)) video.addEventListener("emptied", () => starting.has(video) || known.count++);
  loads.set(video, known);
  const track = srcObject instanceof MediaStream ? (srcObject.getVideoTracks()[0]?.id ?? "") : ""; // of who speaks now
  return { src: currentSrc || track, object: srcObject, duration: lengthOf(video), loads: known.count };
}

/**
 * Tell whether a player still plays the same: the next clip may come at the same address, even in the same stream.
 * @param {VideoSource} before
 * @param {VideoSource} now
 */
export function isSameSource(before, now) {
  const isSwitched = (before.src !== now.src && before.src !== "") || (before.object !== now.object && before.object);
  const isLoadedAnew = before.loads !== now.loads && before.duration > 0;
  const grown = now.duration - before.duration; // NaN where either is not known
  const isOther = before.duration < Infinity && (grown < -LENGTH_TOLERANCE_SECONDS || grown > GROWTH_SECONDS);
  return !isSwitched && !isLoadedAnew && !isOther; // the length of a recording may come to be known at its end
}
