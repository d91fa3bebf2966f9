/**
 * Geometry of boxes, as in Python's `faces/boxes.py`. Pure.
 *
 * @typedef {[number, number, number, number]} Box x1, y1, x2, y2 in px
 */

import constants from "../shared/constants.js";

const { MATCH_MIN_IOU } = constants.face_detector;

/** Compute the mean of width and height. @param {Box} box */
export function sideLength([x1, y1, x2, y2]) {
  return (x2 - x1 + y2 - y1) / 2;
}

/** Extend the shorter side, around the same centre. @param {Box} box @returns {Box} */
export function toSquare([x1, y1, x2, y2]) {
  const half = Math.max(x2 - x1, y2 - y1) / 2;
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  return [x - half, y - half, x + half, y + half];
}

/**
 * Shift each side by a network's regression output.
 * @param {Box} box
 * @param {Box} offset in shares of the box's width and height
 * @returns {Box}
 */
export function applyOffset([x1, y1, x2, y2], [dx1, dy1, dx2, dy2]) {
  const [width, height] = [x2 - x1, y2 - y1];
  return [x1 + dx1 * width, y1 + dy1 * height, x2 + dx2 * width, y2 + dy2 * height];
}

/**
 * Move and stretch a box as another box was.
 * @param {Box} box
 * @param {Box} before the other box
 * @param {Box} after
 * @returns {Box}
 */
export function warpBox([x1, y1, x2, y2], before, after) {
  const scaleX = (after[2] - after[0]) / Math.max(before[2] - before[0], 1e-9);
  const scaleY = (after[3] - after[1]) / Math.max(before[3] - before[1], 1e-9);
  const x = (/** @type {number} */ value) => after[0] + (value - before[0]) * scaleX;
  const y = (/** @type {number} */ value) => after[1] + (value - before[1]) * scaleY;
  return [x(x1), y(y1), x(x2), y(y2)];
}

/** Compute the area in px². @param {Box} box */
export function area([x1, y1, x2, y2]) {
  return Math.max(x2 - x1, 0) * Math.max(y2 - y1, 0);
}

/**
 * Compute intersection over union, or over the smaller box.
 * @param {Box} a
 * @param {Box} b
 * @param {boolean} [ofSmaller]
 */
export function overlap(a, b, ofSmaller = false) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(width, 0) * Math.max(height, 0);
  const whole = ofSmaller ? Math.min(area(a), area(b)) : area(a) + area(b) - shared;
  return shared / Math.max(whole, 1e-9);
}

/**
 * Keep the best boxes by non-maximum suppression.
 * @template {{score: number}} T
 * @param {readonly T[]} items
 * @param {(item: T) => Box} boxOf
 * @param {number} limit largest overlap with a better box that is kept
 * @param {boolean} [ofSmaller]
 * @returns {T[]} best first
 */
export function suppress(items, boxOf, limit, ofSmaller = false) {
  /** @type {T[]} */
  const kept = [];
  for (const item of [...items].sort((a, b) => b.score - a.score)) {
    if (!kept.some((better) => overlap(boxOf(better), boxOf(item), ofSmaller) > limit)) kept.push(item);
  }
  return kept;
}

/**
 * Measure how far two boxes lie apart, in sides, and how many times larger one is.
 * @param {Box} a
 * @param {Box} b
 * @returns {[distance: number, ratio: number]}
 */
export function displacement(a, b) {
  const [own, other] = [sideLength(a), sideLength(b)];
  const apart = Math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2;
  return [apart / Math.max((own + other) / 2, 1e-9), Math.max(own, other) / Math.max(Math.min(own, other), 1e-9)];
}

/**
 * Pair rows with columns greedily, the most similar first, each used once.
 * @param {number[][]} similarity -Infinity is never paired
 * @returns {[number, number][]}
 */
export function matchGreedily(similarity) {
  const all = similarity.flatMap((values, row) => values.map((value, column) => ({ value, row, column })));
  /** @type {[number, number][]} */
  const pairs = [];
  for (const { value, row, column } of all.sort((a, b) => b.value - a.value)) {
    if (value > -Infinity && !pairs.some((pair) => pair[0] === row || pair[1] === column)) pairs.push([row, column]);
  }
  return pairs;
}

/**
 * Match the faces of two frames of a window by their overlap.
 * @param {readonly Box[]} first
 * @param {readonly Box[]} second
 * @returns {[number, number][]}
 */
export function matchByIou(first, second) {
  const iou = first.map((a) => second.map((b) => overlap(a, b)));
  return matchGreedily(iou.map((row) => row.map((value) => (value >= MATCH_MIN_IOU ? value : -Infinity))));
}
