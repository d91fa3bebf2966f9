/**
 * Windows of pictures, and faces of people -> clips -> model input, as unmask/capture.py, clips.py and people.py.
 * Pure.
 *
 * @typedef {import("./boxes.js").Box} Box
 * @typedef {import("./face-detector.js").Face} Face
 * @typedef {import("./tracking.js").Track} Track
 * @typedef {import("./tracking.js").Window} Window
 * @typedef {import("./image-ops.js").Picture} Picture
 *
 * @typedef {object} ClipSpec of config.json
 * @property {number} frames_per_clip
 * @property {number} frame_stride_seconds
 * @property {number} side_px
 * @property {number} crop_scale
 * @property {[number, number]} crop_shift
 * @property {[number, number, number]} mean of RGB in 0..1
 * @property {[number, number, number]} std
 *
 * @typedef {object} Clip one face through successive frames
 * @property {Picture[]} pictures squares
 * @property {number[]} seconds
 *
 * @typedef {object} Person
 * @property {number} id
 * @property {{seconds: number, box: Box}[]} seen
 *
 * @typedef {{id: number, clip: Clip}} Sighting of a person in a window
 */

import { side } from "./boxes.js";
import { link, meanArea, median, whyExcluded } from "./tracking.js";
import { roundEven, scale, toPlanes } from "./image-ops.js";

export const WINDOWS = 8;
const CLOSE_STRIDES = 0.75; // a picture closer to the one before, in strides, is left out
const GAP_STRIDES = 4; // a gap wider than this begins a new window,
const GAP_STEPS = 2.5; // unless the pictures are as far apart throughout: then it takes this many usual steps
const MAX_PEOPLE = 12;

// --- pictures -> windows

/**
 * Which pictures belong together.
 *
 * @param {readonly number[]} seconds rising
 * @param {ClipSpec} spec
 * @returns {number[][]} indices, a list a window; at most WINDOWS, spread over the time
 */
export function arrange(seconds, spec) {
  const chosen = thin(seconds, spec.frame_stride_seconds);
  const steps = chosen.slice(1).map((index, place) => (seconds[index] ?? 0) - (seconds[chosen[place] ?? 0] ?? 0));
  const gap = Math.max(GAP_STRIDES * spec.frame_stride_seconds, GAP_STEPS * (steps.length ? median(steps) : 0));
  /** @type {number[][]} */
  const windows = [];
  for (const index of chosen) {
    const last = windows.at(-1);
    const before = last?.at(-1);
    const continues = last && before !== undefined && last.length < spec.frames_per_clip && (seconds[index] ?? 0) - (seconds[before] ?? 0) <= gap;
    if (continues) last.push(index);
    else windows.push([index]);
  }
  return spread(windows, WINDOWS);
}

/** Without those that follow too closely on the one before. @param {readonly number[]} seconds @param {number} stride @returns {number[]} indices */
function thin(seconds, stride) {
  /** @type {number[]} */
  const chosen = [];
  for (const [index, second] of seconds.entries()) {
    const before = chosen.at(-1);
    if (before === undefined || second - (seconds[before] ?? 0) >= CLOSE_STRIDES * stride) chosen.push(index);
  }
  return chosen;
}

/** @template T @param {readonly T[]} items @param {number} count @returns {T[]} evenly chosen, first and last among them */
export function spread(items, count) {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, place) => /** @type {T} */ (items[roundEven((place * (items.length - 1)) / (count - 1))]));
}

// --- windows and faces -> people

/** Everybody seen so far, and how much was looked at. */
export class People {
  frames = 0;
  framesWithFace = 0;
  analysedSeconds = 0;
  tooMany = false;
  /** @type {Map<number, Track>} last track of every face, left out or not */
  #known = new Map();
  /** @type {Map<number, string>} why a face was left out where it was seen last */
  #leftOut = new Map();
  /** @type {Map<number, Person>} by the linker's id */
  #people = new Map();

  /** @param {ClipSpec} spec */
  constructor(spec) {
    this.spec = spec;
  }

  get all() {
    return [...this.#people.values()];
  }

  /** Why faces were left out wherever they were seen, as codes. */
  get excluded() {
    return [...this.#leftOut].filter(([face]) => !this.#people.has(face)).map(([, reason]) => reason);
  }

  /** @param {Window} window @param {readonly Face[][]} faces of each picture @returns {Sighting[]} who is seen in it */
  add(window, faces) {
    this.frames += window.pictures.length;
    this.framesWithFace += faces.filter((some) => some.length).length;
    this.analysedSeconds += shownSeconds(window.seconds);
    const tracks = link(faces, window.seconds, [...this.#known.values()]);
    for (const track of tracks) this.#known.set(track.id, track);
    return [...tracks].sort((a, b) => meanArea(b) - meanArea(a)).flatMap((track) => {
      const reason = whyExcluded(track, window);
      if (reason === null) return this.#remember(track, window);
      this.#leftOut.set(track.id, reason);
      return [];
    });
  }

  /** @param {Track} track @param {Window} window @returns {Sighting[]} none when there are too many people */
  #remember(track, window) {
    const known = this.#people.get(track.id);
    if (!known && this.#people.size === MAX_PEOPLE) {
      this.tooMany = true;
      return [];
    }
    const person = known ?? { id: this.#people.size, seen: [] };
    this.#people.set(track.id, person);
    person.seen.push(...track.seen.map(({ seconds, box }) => ({ seconds, box })));
    return [{ id: person.id, clip: crop(window, track, this.spec) }];
  }
}

/** How long a window is on the screen: to its last frame, and that one's own time. @param {readonly number[]} seconds */
function shownSeconds(seconds) {
  const count = seconds.length;
  return count < 2 ? 0 : (((seconds.at(-1) ?? 0) - (seconds[0] ?? 0)) * count) / (count - 1);
}

// --- people -> clips -> input

/** @param {Window} window @param {Track} track @param {ClipSpec} spec @returns {Clip} */
export function crop({ pictures }, track, spec) {
  const times = track.seen.map(({ seconds }) => seconds);
  const kept = thin(times, spec.frame_stride_seconds).slice(0, spec.frames_per_clip).flatMap((index) => track.seen[index] ?? []);
  return {
    pictures: kept.map(({ frame, box }) => cropSquare(/** @type {Picture} */ (pictures[frame]), squareBox(box, spec), spec.side_px)),
    seconds: kept.map(({ seconds }) => seconds),
  };
}

/** The square that the spec cuts around a face. @param {Box} box @param {ClipSpec} spec @returns {Box} */
export function squareBox(box, spec) {
  const sidePx = side(box) * spec.crop_scale;
  const [right, down] = spec.crop_shift;
  const [x, y] = [(box[0] + box[2]) / 2 + right * sidePx, (box[1] + box[3]) / 2 + down * sidePx];
  return [x - sidePx / 2, y - sidePx / 2, x + sidePx / 2, y + sidePx / 2];
}

/** Beyond the picture its edge is repeated. @param {Picture} picture @param {Box} box @param {number} sidePx */
export function cropSquare(picture, [x1, y1, x2, y2], sidePx) {
  const [width, height] = [Math.max(1, roundEven(x2 - x1)), Math.max(1, roundEven(y2 - y1))];
  const region = { left: roundEven(x1), top: roundEven(y1), width, height };
  return scale(picture, region, sidePx, sidePx, Math.min(width, height) >= sidePx ? "area" : "cubic");
}

/** Normalised. @param {readonly Picture[]} pictures @param {ClipSpec} spec @returns {{data: Float32Array, shape: number[]}} (T, 3, S, S) */
export function toInput(pictures, spec) {
  const of255 = (/** @type {readonly number[]} */ values) => /** @type {[number, number, number]} */ (values.map((value) => 255 * value));
  return { data: toPlanes(pictures, of255(spec.mean), of255(spec.std)), shape: [pictures.length, 3, spec.side_px, spec.side_px] };
}
