/**
 * Pictures -> faces -> tracks, as unmask/faces.py: MTCNN on a pyramid of small pictures, boxes and tracks by plain
 * arithmetic. Pure; the three networks are given.
 *
 * @typedef {import("./boxes.js").Box} Box
 * @typedef {import("./pixels.js").Picture} Picture
 *
 * @typedef {(data: Float32Array, shape: number[]) => Promise<Record<string, Tensor>>} Network
 * @typedef {{data: Float32Array, dims: readonly number[]}} Tensor
 * @typedef {{pnet: Network, rnet: Network, onet: Network}} Networks
 *
 * @typedef {{box: Box, score: number}} Face px of the picture; may reach beyond it
 *
 * @typedef {object} Sighting one face in one frame of a window
 * @property {number} frame
 * @property {number} seconds
 * @property {Box} box
 *
 * @typedef {object} Track one face through the frames of one window
 * @property {number} id the same for one person in all windows
 * @property {Sighting[]} seen in order of time, at least one
 *
 * @typedef {object} Window
 * @property {Picture[]} pictures
 * @property {number[]} seconds
 */

import { area, bestPairs, move, overlap, side, square, step, suppress } from "./boxes.js";
import { roundEven, scale, toPlanes, whole } from "./pixels.js";

const SEARCH_SIDE_PX = 640;
const MIN_FACE_PX = 24;
const CELL_PX = 12;
const CELL_STRIDE_PX = 2;
const PYRAMID_STEP = 0.709;
const MIN_SCORE = /** @type {const} */ ([0.6, 0.7, 0.9]); // of P-, R- and O-Net
const SAME_CELL = 0.5;
const SAME_PROPOSAL = 0.7;
const SAME_REFINED = 0.9;
const SAME_FACE = 0.7;
const MAX_PROPOSALS = 300;
const PATCHES_PER_BATCH = 64;
const MTCNN_MEAN = /** @type {const} */ ([127.5, 127.5, 127.5]);
const MTCNN_STD = /** @type {const} */ ([128, 128, 128]);

const MIN_TRACK_OVERLAP = 0.3;
const MAX_GAP_FRAMES = 2;
const MAX_STEP_SIDES = 1.0;
const MAX_SIZE_RATIO = 1.6;
const SHARPNESS_SIDE_PX = 64;
const MIN_SIDE_PX = 48;
const MIN_SHARPNESS = 0.045;
const MIN_FRAMES = 3;

// --- faces

/** @param {Picture} picture @param {Networks} networks @returns {Promise<Face[]>} best first */
export async function detect(picture, networks) {
  const small = shrink(picture, SEARCH_SIDE_PX);
  const proposed = await propose(small, networks.pnet);
  const refined = await refine(small, proposed, networks.rnet);
  const factor = picture.width / small.width;
  return place(picture, refined.map(({ box }) => /** @type {Box} */ (box.map((value) => value * factor))), networks.onet);
}

/** [height, width] of each level. @param {number} height @param {number} width @returns {[number, number][]} */
export function pyramidSides(height, width) {
  /** @type {[number, number][]} */
  const sides = [];
  for (let factor = CELL_PX / MIN_FACE_PX; Math.min(height, width) * factor >= CELL_PX; factor *= PYRAMID_STEP) {
    sides.push([Math.max(CELL_PX, roundEven(height * factor)), Math.max(CELL_PX, roundEven(width * factor))]);
  }
  return sides;
}

/** @param {Picture} picture @param {number} sidePx the longest side is at most this */
export function shrink(picture, sidePx) {
  const factor = sidePx / Math.max(picture.height, picture.width);
  if (factor >= 1) return picture;
  return scale(picture, whole(picture), Math.max(1, roundEven(picture.width * factor)), Math.max(1, roundEven(picture.height * factor)), "area");
}

/** @param {Picture} image @param {Network} pnet */
async function propose(image, pnet) {
  /** @type {Face[]} */
  const found = [];
  let level = image;
  for (const [height, width] of pyramidSides(image.height, image.width)) {
    level = scale(level, whole(level), width, height, "area");
    const { score, offset } = await pnet(toPlanes([level], MTCNN_MEAN, MTCNN_STD), [1, 3, height, width]);
    if (score && offset) found.push(...decodeMap(score, offset, level, image));
  }
  return suppress(found, boxOf, SAME_PROPOSAL);
}

/** P-Net's maps -> candidates in px of `image`. @param {Tensor} score @param {Tensor} offset @param {Picture} level @param {Picture} image @returns {Face[]} */
function decodeMap(score, offset, level, image) {
  const [, rows = 0, columns = 0] = score.dims;
  const [toX, toY, count] = [image.width / level.width, image.height / level.height, rows * columns];
  const cells = [];
  for (let at = 0; at < count; at++) {
    const sure = score.data[at] ?? 0;
    if (sure <= MIN_SCORE[0]) continue;
    const [x, y] = [CELL_STRIDE_PX * (at % columns), CELL_STRIDE_PX * Math.floor(at / columns)];
    const cell = /** @type {Box} */ ([x * toX, y * toY, (x + CELL_PX) * toX, (y + CELL_PX) * toY]);
    const shift = /** @type {Box} */ ([0, 1, 2, 3].map((part) => offset.data[part * count + at] ?? 0));
    cells.push({ cell, score: sure, box: move(cell, shift) });
  }
  const best = cells.sort((a, b) => b.score - a.score).slice(0, MAX_PROPOSALS);
  return suppress(best, ({ cell }) => cell, SAME_CELL);
}

/** @param {Picture} image @param {readonly Face[]} proposed @param {Network} rnet */
async function refine(image, proposed, rnet) {
  const boxes = proposed.map(({ box }) => square(box));
  const { score = [], offset = [] } = await run(rnet, image, boxes, 24);
  const moved = boxes.map((box, row) => ({ box: move(box, four(offset, row)), score: score[row] ?? 0 }));
  return suppress(moved.filter((face) => face.score > MIN_SCORE[1]), boxOf, SAME_REFINED);
}

/**
 * O-Net on every candidate. The mean over all squares of a face trembles less than the best of them.
 *
 * @param {Picture} image @param {readonly Box[]} refined @param {Network} onet
 * @returns {Promise<Face[]>}
 */
async function place(image, refined, onet) {
  const boxes = refined.map(square);
  const { score = [], offset = [] } = await run(onet, image, boxes, 48);
  const moved = boxes.map((box, row) => ({ box: move(box, four(offset, row)), score: score[row] ?? 0 }));
  const likely = moved.filter(({ box, score: sure }) => sure > MIN_SCORE[2] && box[2] > box[0] && box[3] > box[1]);
  return suppress(likely, boxOf, SAME_FACE, true).map((face) => ({ box: mean(likely.filter(({ box }) => overlap(face.box, box) > SAME_FACE)), score: face.score }));
}

/** Weighted by score. @param {readonly Face[]} votes @returns {Box} */
function mean(votes) {
  const sum = votes.reduce((total, { score }) => total + score, 0);
  return /** @type {Box} */ ([0, 1, 2, 3].map((part) => votes.reduce((total, { box, score }) => total + (score * (box[part] ?? 0)) / sum, 0)));
}

/** The outputs for all boxes, one after another. @param {Network} net @param {Picture} image @param {readonly Box[]} boxes @param {number} sidePx */
async function run(net, image, boxes, sidePx) {
  /** @type {{score: number[], offset: number[]}} */
  const all = { score: [], offset: [] };
  for (let start = 0; start < boxes.length; start += PATCHES_PER_BATCH) {
    const patches = boxes.slice(start, start + PATCHES_PER_BATCH).map((box) => patch(image, box, sidePx));
    const { score, offset } = await net(toPlanes(patches, MTCNN_MEAN, MTCNN_STD), [patches.length, 3, sidePx, sidePx]);
    all.score.push(...(score?.data ?? []));
    all.offset.push(...(offset?.data ?? []));
  }
  return all;
}

/** A box scaled to a square; black beyond the picture. @param {Picture} image @param {Box} box @param {number} sidePx */
export function patch(image, box, sidePx) {
  const [left, top, right, bottom] = /** @type {Box} */ (box.map(roundEven));
  const [width, height] = [Math.max(right - left, 1), Math.max(bottom - top, 1)];
  return scale(image, { left, top, width, height }, sidePx, sidePx, width >= sidePx ? "area" : "linear", "black");
}

/** @param {Face} face */
function boxOf({ box }) {
  return box;
}

/** @param {readonly number[]} values @param {number} row @returns {Box} */
function four(values, row) {
  return /** @type {Box} */ ([0, 1, 2, 3].map((part) => values[4 * row + part] ?? 0));
}

// --- tracks

/**
 * Join the faces of one window's frames into tracks, ordered by id.
 *
 * @param {readonly Face[][]} faces of each frame
 * @param {readonly number[]} seconds
 * @param {readonly Track[]} known the last track of every person seen in earlier windows
 * @returns {Track[]}
 */
export function link(faces, seconds, known) {
  const tracks = paths(faces, seconds).map((seen) => ({ id: -1, seen }));
  const likeness = tracks.map((track) => known.map((old) => nearness(first(track), last(old))));
  for (const [row, column] of bestPairs(likeness)) /** @type {Track} */ (tracks[row]).id = known[column]?.id ?? -1;
  let next = 1 + Math.max(-1, ...known.map(({ id }) => id));
  for (const track of tracks.filter(({ id }) => id < 0).sort((a, b) => medianSide(b) - medianSide(a))) track.id = next++;
  return tracks.sort((a, b) => a.id - b.id);
}

/** @param {readonly Face[][]} faces @param {readonly number[]} seconds @returns {Sighting[][]} */
function paths(faces, seconds) {
  /** @type {Sighting[][]} */
  const found = [];
  for (const [frame, some] of faces.entries()) {
    const sightings = some.map(({ box }) => ({ frame, seconds: seconds[frame] ?? 0, box }));
    const live = found.filter((path) => frame - (path.at(-1)?.frame ?? -Infinity) <= MAX_GAP_FRAMES + 1);
    const likeness = live.map((path) => sightings.map(({ box }) => enough(overlap(/** @type {Sighting} */ (path.at(-1)).box, box))));
    const pairs = bestPairs(likeness);
    for (const [row, face] of pairs) live[row]?.push(/** @type {Sighting} */ (sightings[face]));
    const taken = new Set(pairs.map(([, face]) => face));
    found.push(...sightings.filter((_, face) => !taken.has(face)).map((sighting) => [sighting]));
  }
  return found;
}

/** @param {number} likeness */
function enough(likeness) {
  return likeness >= MIN_TRACK_OVERLAP ? likeness : -Infinity;
}

/** @param {Box} now @param {Box} before */
function nearness(now, before) {
  const [distance, ratio] = step(now, before);
  return distance <= MAX_STEP_SIDES && ratio <= MAX_SIZE_RATIO ? -distance : -Infinity;
}

/** @param {Track} track @returns {Box} */
function first({ seen }) {
  return /** @type {Sighting} */ (seen[0]).box;
}

/** @param {Track} track @returns {Box} */
function last({ seen }) {
  return /** @type {Sighting} */ (seen.at(-1)).box;
}

/** @param {Track} track */
function medianSide({ seen }) {
  return median(seen.map(({ box }) => side(box)));
}

/** Mean over the frames, px². @param {Track} track */
export function meanArea({ seen }) {
  return seen.reduce((sum, { box }) => sum + area(box), 0) / seen.length;
}

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

// --- what is worth a model's time

/** A stable reason code when the track is not worth scoring. @param {Track} track @param {Window} window @returns {string | null} */
export function whyExcluded(track, { pictures }) {
  if (track.seen.length < Math.min(MIN_FRAMES, pictures.length)) return "face_too_brief";
  if (medianSide(track) < MIN_SIDE_PX) return "face_too_small";
  const details = track.seen.map(({ frame, box }) => detail(/** @type {Picture} */ (pictures[frame]), box));
  return median(details) < MIN_SHARPNESS ? "face_too_blurred" : null;
}

/** Share of fine detail: variance of the Laplacian over the variance, at one size. @param {Picture} picture @param {Box} box */
export function detail(picture, [x1, y1, x2, y2]) {
  const { width, height } = picture;
  const inside = (/** @type {number} */ value, /** @type {number} */ size) => Math.min(Math.max(value, 0), size);
  const face = patch(picture, [inside(x1, width), inside(y1, height), inside(x2, width), inside(y2, height)], SHARPNESS_SIDE_PX);
  const gray = grayOf(face);
  return variance(laplacian(gray, SHARPNESS_SIDE_PX)) / Math.max(variance(gray), 1);
}

/** @param {Picture} picture */
function grayOf({ data }) {
  return Float64Array.from({ length: data.length / 3 }, (_, place) => {
    const [red, green, blue] = [data[3 * place] ?? 0, data[3 * place + 1] ?? 0, data[3 * place + 2] ?? 0];
    return Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
  });
}

/** Beyond the edge the picture is mirrored. @param {Float64Array} gray @param {number} width of the square */
function laplacian(gray, width) {
  const mirror = (/** @type {number} */ at) => (at < 0 ? 1 : at >= width ? width - 2 : at);
  const value = (/** @type {number} */ x, /** @type {number} */ y) => gray[mirror(y) * width + mirror(x)] ?? 0;
  return gray.map((middle, place) => {
    const [x, y] = [place % width, Math.floor(place / width)];
    return value(x - 1, y) + value(x + 1, y) + value(x, y - 1) + value(x, y + 1) - 4 * middle;
  });
}

/** @param {Float64Array} values */
function variance(values) {
  const middle = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / values.length;
}
