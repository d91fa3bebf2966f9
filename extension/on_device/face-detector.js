/**
 * Pictures -> faces, as unmask/faces.py: MTCNN on a pyramid of small pictures, boxes by plain arithmetic. Pure; the
 * three networks are given.
 *
 * @typedef {import("./boxes.js").Box} Box
 * @typedef {import("./image-ops.js").Picture} Picture
 *
 * @typedef {(data: Float32Array, shape: number[]) => Promise<Record<string, Tensor>>} Network
 * @typedef {{data: Float32Array, dims: readonly number[]}} Tensor
 * @typedef {{pnet: Network, rnet: Network, onet: Network}} Networks
 *
 * @typedef {{box: Box, score: number}} Face px of the picture; may reach beyond it
 *
 * @typedef {object} View one picture in both sizes
 * @property {Picture} full
 * @property {Picture} small which is searched
 * @property {number} factor from the small one to the full one
 *
 * @typedef {object} Searched
 * @property {Face[]} proposals px of the small picture, by P-Net
 * @property {Box[]} places of the faces, in the same px
 * @property {Face[]} faces
 */

import { carry, move, overlap, same, square, suppress } from "./boxes.js";
import { roundEven, scale, toPlanes, whole } from "./image-ops.js";

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
const ON_FACE = 0.5;
const FRAMES_PER_BATCH = 8;

/** The faces of each picture of a window, best first. @param {readonly Picture[]} pictures @param {Networks} networks @returns {Promise<Face[][]>} */
export async function detect(pictures, networks) {
  const found = [];
  for (let start = 0; start < pictures.length; start += FRAMES_PER_BATCH) {
    found.push(...(await detectSome(pictures.slice(start, start + FRAMES_PER_BATCH).map(view), networks)));
  }
  return found;
}

/** Both ends are searched; between, the faces that both show are only confirmed. @param {readonly View[]} views @param {Networks} networks */
async function detectSome(views, networks) {
  /** @type {Face[][]} */
  const faces = [];
  const first = await search(/** @type {View} */ (views[0]), networks);
  const last = views.length > 1 ? await search(/** @type {View} */ (views.at(-1)), networks) : first;
  const guesses = foretell(first, last, views.length - 2);
  for (const [row, between] of views.slice(1, -1).entries()) {
    const confirmed = guesses[row] && (await judge(between, guesses[row], networks));
    faces.push(confirmed?.length === first.faces.length ? confirmed : (await search(between, networks)).faces);
  }
  return [first.faces, ...faces, last.faces].slice(0, views.length);
}

/**
 * Candidates for each of the pictures between two searched ones: the nearer one's proposals, carried along with the
 * face on which they lie. None where the two do not show the same faces, or show no face.
 *
 * @param {Searched} first @param {Searched} last @param {number} count @returns {Box[][]}
 */
export function foretell(first, last, count) {
  const pairs = same(first.places, last.places);
  if (!pairs.length || pairs.length !== first.places.length || pairs.length !== last.places.length) return [];
  const ways = pairs.map(([row, column]) => /** @type {[Box, Box]} */ ([first.places[row], last.places[column]]));
  return Array.from({ length: Math.max(0, count) }, (_, step) => {
    const share = (step + 1) / (count + 1);
    const { proposals } = share <= 0.5 ? first : last;
    return ways.flatMap(([start, end]) => {
      const before = share <= 0.5 ? start : end;
      const now = /** @type {Box} */ (start.map((from, part) => from + share * ((end[part] ?? 0) - from)));
      return proposals.filter(({ box }) => overlap(box, before) > ON_FACE).map(({ box }) => carry(box, before, now));
    });
  });
}

/** @param {View} view @param {Networks} networks @returns {Promise<Searched>} */
async function search(view, networks) {
  const proposals = await propose(view.small, networks.pnet);
  const faces = await judge(view, proposals.map(boxOf), networks);
  return { proposals, faces, places: faces.map(({ box }) => times(box, 1 / view.factor)) };
}

/** R- and O-Net on candidates. @param {View} view @param {readonly Box[]} proposed @param {Networks} networks */
async function judge({ full, small, factor }, proposed, networks) {
  const refined = await refine(small, proposed, networks.rnet);
  return place(full, refined.map(({ box }) => times(box, factor)), networks.onet);
}

/** @param {Picture} full @returns {View} */
function view(full) {
  const small = shrink(full, SEARCH_SIDE_PX);
  return { full, small, factor: full.width / small.width };
}

/** @param {Box} box @param {number} factor */
function times(box, factor) {
  return /** @type {Box} */ (box.map((value) => value * factor));
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

/** @param {Picture} image @param {readonly Box[]} proposed @param {Network} rnet */
async function refine(image, proposed, rnet) {
  const boxes = proposed.map(square);
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
