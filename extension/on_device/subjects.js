/**
 * One person over the tracks of several windows, as in Python's `faces/subjects.py`. Pure.
 *
 * @typedef {import("./boxes.js").Box} Box
 * @typedef {import("./clips.js").Clip} Clip
 * @typedef {import("./clips.js").ClipSpec} ClipSpec
 * @typedef {import("./face-detector.js").Face} Face
 * @typedef {import("./tracking.js").Track} Track
 * @typedef {import("./tracking.js").Window} Window
 *
 * @typedef {object} Subject
 * @property {number} id
 * @property {{seconds: number, box: Box}[]} boxes
 *
 * @typedef {{id: number, clip: Clip}} SubjectClip of a subject in a window
 */

import constants from "../shared/constants.js";
import { cropClip } from "./clips.js";
import { exclusionReason, linkTracks, meanArea } from "./tracking.js";

const { MAX_SUBJECTS } = constants.pipeline;

/** Follow every person from window to window, and count what was analysed. */
export class SubjectTracker {
  frames = 0;
  framesWithFace = 0;
  analysedSeconds = 0;
  tooMany = false;
  /** @type {Map<number, Track>} last track of every face, scored or not */
  #lastTracks = new Map();
  /** @type {Map<number, string>} why a face was left out where it was seen last */
  #exclusions = new Map();
  /** @type {Map<number, Subject>} by track id */
  #subjects = new Map();

  /** @param {ClipSpec} spec */
  constructor(spec) {
    this.spec = spec;
  }

  /** The subjects so far, in the order in which they were seen. */
  get subjects() {
    return [...this.#subjects.values()];
  }

  /** Codes of why faces were left out wherever they were seen. */
  get excluded() {
    return [...this.#exclusions].filter(([track]) => !this.#subjects.has(track)).map(([, reason]) => reason);
  }

  /**
   * Track the faces of one more window.
   * @param {Window} window
   * @param {readonly Face[][]} faces of each frame
   * @returns {SubjectClip[]} to be scored
   */
  add(window, faces) {
    this.frames += window.images.length;
    this.framesWithFace += faces.filter((some) => some.length).length;
    this.analysedSeconds += shownSeconds(window.seconds);
    const tracks = linkTracks(faces, window.seconds, [...this.#lastTracks.values()]);
    for (const track of tracks) this.#lastTracks.set(track.id, track);
    const largestFirst = [...tracks].sort((a, b) => meanArea(b) - meanArea(a));
    return largestFirst.flatMap((track) => {
      const reason = exclusionReason(track, window);
      if (reason === null) return this.#addTrack(track, window);
      this.#exclusions.set(track.id, reason);
      return [];
    });
  }

  /** @param {Track} track @param {Window} window @returns {SubjectClip[]} none when there are too many people */
  #addTrack(track, window) {
    const known = this.#subjects.get(track.id);
    if (!known && this.#subjects.size === MAX_SUBJECTS) {
      this.tooMany = true;
      return [];
    }
    const subject = known ?? { id: this.#subjects.size, boxes: [] };
    this.#subjects.set(track.id, subject);
    subject.boxes.push(...track.detections.map(({ seconds, box }) => ({ seconds, box })));
    return [{ id: subject.id, clip: cropClip(window, track, this.spec) }];
  }
}

/**
 * Compute how long a window is shown: to its last frame, and that one's own duration.
 * @param {readonly number[]} seconds
 */
function shownSeconds(seconds) {
  const count = seconds.length;
  return count < 2 ? 0 : (((seconds.at(-1) ?? 0) - (seconds[0] ?? 0)) * count) / (count - 1);
}
