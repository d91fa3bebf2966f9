/**
 * Captured frames grouped into windows, as in Python's `video/captured_frames.py`. Pure.
 *
 * @import { ClipSpec } from "./clips.js"
 */

import constants from "../shared/constants.js";
import { roundHalfEven } from "./image-ops.js";
import { median } from "./tracking.js";

const { WINDOWS, CLOSE_STRIDES, GAP_STRIDES, GAP_STEPS } = constants.sampling;

/**
 * Group frames into windows by their times.
 * @param {readonly number[]} seconds rising
 * @param {ClipSpec} spec
 * @returns {number[][]} indices, a list a window; at most WINDOWS, spread over the time
 */
export function groupIntoWindows(seconds, spec) {
  const chosen = thin(seconds, spec.frame_stride_seconds);
  const steps = chosen.slice(1).map((index, place) => (seconds[index] ?? 0) - (seconds[chosen[place] ?? 0] ?? 0));
  const maxGap = Math.max(GAP_STRIDES * spec.frame_stride_seconds, GAP_STEPS * (steps.length ? median(steps) : 0));
  /** @type {number[][]} */
  const windows = [];
  for (const [place, index] of chosen.entries()) {
    const last = windows.at(-1);
    const gap = steps[place - 1] ?? Infinity;
    if (last && last.length < spec.frames_per_clip && gap <= maxGap) last.push(index);
    else windows.push([index]);
  }
  return spreadEvenly(windows, WINDOWS);
}

/**
 * Split the pictures of a window where their size changes, as where a phone is turned or a player switches its quality.
 * @template {{width: number, height: number}} T
 * @param {readonly T[]} images
 * @returns {T[][]}
 */
export function splitBySize(images) {
  /** @type {T[][]} */
  const parts = [];
  for (const image of images) {
    const last = parts.at(-1);
    if (last?.[0]?.width === image.width && last[0].height === image.height) last.push(image);
    else parts.push([image]);
  }
  return parts;
}

/**
 * Leave out times that follow too closely on the one before.
 * @param {readonly number[]} seconds
 * @param {number} stride
 * @returns {number[]} indices
 */
export function thin(seconds, stride) {
  /** @type {number[]} */
  const chosen = [];
  for (const [index, second] of seconds.entries()) {
    const before = chosen.at(-1);
    if (before === undefined || second - (seconds[before] ?? 0) >= CLOSE_STRIDES * stride) chosen.push(index);
  }
  return chosen;
}

/**
 * Choose items evenly, first and last among them.
 * @template T
 * @param {readonly T[]} items
 * @param {number} count
 * @returns {T[]}
 */
export function spreadEvenly(items, count) {
  if (items.length <= count) return [...items];
  const step = (items.length - 1) / (count - 1);
  return Array.from({ length: count }, (_, place) => /** @type {T} */ (items[roundHalfEven(place * step)]));
}
