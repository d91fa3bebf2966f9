/**
 * Geometry of boxes, as unmask/boxes.py. Pure.
 *
 * @typedef {[number, number, number, number]} Box x1, y1, x2, y2 in px
 */

const SAME_OVERLAP = 0.3;

/** Mean of width and height. @param {Box} box */
export function side([x1, y1, x2, y2]) {
  return (x2 - x1 + y2 - y1) / 2;
}

/** Around the same centre with the longer side. @param {Box} box @returns {Box} */
export function square([x1, y1, x2, y2]) {
  const half = Math.max(x2 - x1, y2 - y1) / 2;
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  return [x - half, y - half, x + half, y + half];
}

/** Each side shifted by an offset in the box's width and height. @param {Box} box @param {Box} offset @returns {Box} */
export function move([x1, y1, x2, y2], [dx1, dy1, dx2, dy2]) {
  const [width, height] = [x2 - x1, y2 - y1];
  return [x1 + dx1 * width, y1 + dy1 * height, x2 + dx2 * width, y2 + dy2 * height];
}

/** Moved and stretched as another box was. @param {Box} box @param {Box} before @param {Box} after @returns {Box} */
export function carry(box, before, after) {
  const [across, down] = [2, 3].map((part) => ((after[part] ?? 0) - (after[part - 2] ?? 0)) / Math.max((before[part] ?? 0) - (before[part - 2] ?? 0), 1e-9));
  const [x1, y1, x2, y2] = box;
  const [x, y] = [(/** @type {number} */ value) => after[0] + (value - before[0]) * (across ?? 1), (/** @type {number} */ value) => after[1] + (value - before[1]) * (down ?? 1)];
  return [x(x1), y(y1), x(x2), y(y2)];
}

/** @param {Box} box */
export function area([x1, y1, x2, y2]) {
  return Math.max(x2 - x1, 0) * Math.max(y2 - y1, 0);
}

/** Intersection over union, or over the smaller box. @param {Box} a @param {Box} b @param {boolean} [ofSmaller] */
export function overlap(a, b, ofSmaller = false) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(width, 0) * Math.max(height, 0);
  const whole = ofSmaller ? Math.min(area(a), area(b)) : area(a) + area(b) - shared;
  return shared / Math.max(whole, 1e-9);
}

/**
 * Non-maximum suppression.
 *
 * @template {{score: number}} T
 * @param {readonly T[]} items
 * @param {(item: T) => Box} boxOf
 * @param {number} limit
 * @param {boolean} [ofSmaller]
 * @returns {T[]} best first, those that no better kept one overlaps by more than the limit
 */
export function suppress(items, boxOf, limit, ofSmaller = false) {
  /** @type {T[]} */
  const kept = [];
  for (const item of [...items].sort((a, b) => b.score - a.score)) {
    if (!kept.some((better) => overlap(boxOf(better), boxOf(item), ofSmaller) > limit)) kept.push(item);
  }
  return kept;
}

/** How far two boxes lie apart, in sides, and how many times larger one is. @param {Box} a @param {Box} b @returns {[number, number]} */
export function step(a, b) {
  const [own, other] = [side(a), side(b)];
  const apart = Math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2;
  return [apart / Math.max((own + other) / 2, 1e-9), Math.max(own, other) / Math.max(Math.min(own, other), 1e-9)];
}

/**
 * Pair rows with columns, the best first, each used once.
 *
 * @param {number[][]} likeness -Infinity is never paired
 * @returns {[number, number][]}
 */
export function bestPairs(likeness) {
  const all = likeness.flatMap((row, place) => row.map((value, column) => ({ value, place, column })));
  /** @type {[number, number][]} */
  const pairs = [];
  for (const { value, place, column } of all.sort((a, b) => b.value - a.value)) {
    if (value > -Infinity && !pairs.some(([row, other]) => row === place || other === column)) pairs.push([place, column]);
  }
  return pairs;
}

/** The same faces in two pictures of a window. @param {readonly Box[]} first @param {readonly Box[]} second @returns {[number, number][]} */
export function same(first, second) {
  return bestPairs(first.map((a) => second.map((b) => (overlap(a, b) >= SAME_OVERLAP ? overlap(a, b) : -Infinity))));
}
