/**
 * MTCNN on a pyramid of shrunk frames, as in Python's `faces/detector.py`. Pure; its three networks are given.
 *
 * @typedef {import("./boxes.js").Box} Box
 * @typedef {import("./image-ops.js").RgbImage} RgbImage
 *
 * @typedef {(data: Float32Array, shape: number[]) => Promise<Record<string, Tensor>>} Network
 * @typedef {{data: Float32Array, dims: readonly number[]}} Tensor
 * @typedef {{pnet: Network, rnet: Network, onet: Network}} Networks
 *
 * @typedef {{box: Box, score: number}} Face px of the frame; may reach beyond it
 *
 * @typedef {object} ScaledFrame one frame in both sizes
 * @property {RgbImage} full
 * @property {RgbImage} small the one that is searched
 * @property {number} factor from the small one to the full one
 *
 * @typedef {object} SearchResult
 * @property {Face[]} proposals px of the small frame, by P-Net
 * @property {Box[]} places of the faces, in the same px
 * @property {Face[]} faces
 */

import constants from "../shared/constants.js";
import { applyOffset, matchByIou, overlap, suppress, toSquare, warpBox } from "./boxes.js";
import { fullRegion, resize, roundHalfEven, toPlanes } from "./image-ops.js";

const { SEARCH_SIDE_PX, MIN_FACE_PX, PNET_CELL_PX, PNET_STRIDE_PX, PYRAMID_SCALE, MIN_SCORE } = constants.face_detector;
const { LEVEL_NMS_IOU, PNET_NMS_IOU, RNET_NMS_IOU, ONET_NMS_OVERLAP, MAX_PROPOSALS, ON_FACE_MIN_IOU } =
  constants.face_detector;
const { FRAMES_PER_GROUP, PATCHES_PER_BATCH } = constants.face_detector;
const MTCNN_MEAN = /** @type {const} */ ([127.5, 127.5, 127.5]);
const MTCNN_STD = /** @type {const} */ ([128, 128, 128]);
const RNET_SIDE_PX = 24;
const ONET_SIDE_PX = 48;

/**
 * Detect the faces in each frame of a window.
 * @param {readonly RgbImage[]} frames
 * @param {Networks} networks
 * @returns {Promise<Face[][]>} best first
 */
export async function detectFaces(frames, networks) {
  const found = [];
  for (let start = 0; start < frames.length; start += FRAMES_PER_GROUP) {
    found.push(...(await detectBatch(frames.slice(start, start + FRAMES_PER_GROUP).map(toScaled), networks)));
  }
  return found;
}

/**
 * Search the first and last frame; in between, only confirm the faces that both show.
 * @param {readonly ScaledFrame[]} frames
 * @param {Networks} networks
 */
async function detectBatch(frames, networks) {
  /** @type {Face[][]} */
  const faces = [];
  const first = await search(/** @type {ScaledFrame} */ (frames[0]), networks);
  const last = frames.length > 1 ? await search(/** @type {ScaledFrame} */ (frames.at(-1)), networks) : first;
  const guesses = extrapolateProposals(first, last, frames.length - 2);
  for (const [row, frame] of frames.slice(1, -1).entries()) {
    const confirmed = guesses[row] && (await confirm(frame, guesses[row], networks));
    faces.push(confirmed?.length === first.faces.length ? confirmed : (await search(frame, networks)).faces);
  }
  return [first.faces, ...faces, last.faces].slice(0, frames.length);
}

/**
 * Guess candidates for the frames between two searched ones: the nearer one's proposals, warped with their face.
 * @param {SearchResult} first
 * @param {SearchResult} last
 * @param {number} count of the frames between
 * @returns {Box[][]} empty where the two do not show the same faces, or show none
 */
export function extrapolateProposals(first, last, count) {
  const pairs = matchByIou(first.places, last.places);
  if (!pairs.length || pairs.length !== first.places.length || pairs.length !== last.places.length) return [];
  const paths = pairs.map(([row, column]) => /** @type {[Box, Box]} */ ([first.places[row], last.places[column]]));
  return Array.from({ length: Math.max(0, count) }, (_, step) => {
    const share = (step + 1) / (count + 1);
    const { proposals } = share <= 0.5 ? first : last;
    return paths.flatMap(([start, end]) => {
      const before = share <= 0.5 ? start : end;
      const now = /** @type {Box} */ (start.map((from, part) => from + share * ((end[part] ?? 0) - from)));
      return proposals
        .filter(({ box }) => overlap(box, before) > ON_FACE_MIN_IOU)
        .map(({ box }) => warpBox(box, before, now));
    });
  });
}

/** @param {ScaledFrame} frame @param {Networks} networks @returns {Promise<SearchResult>} */
async function search(frame, networks) {
  const proposals = await propose(frame.small, networks.pnet);
  const faces = await confirm(frame, proposals.map(boxOf), networks);
  return { proposals, faces, places: faces.map(({ box }) => scaleBox(box, 1 / frame.factor)) };
}

/**
 * Run R- and O-Net on candidates.
 * @param {ScaledFrame} frame
 * @param {readonly Box[]} proposed
 * @param {Networks} networks
 */
async function confirm({ full, small, factor }, proposed, networks) {
  const refined = await refine(small, proposed, networks.rnet);
  const candidates = refined.map(({ box }) => scaleBox(box, factor));
  return localize(full, candidates, networks.onet);
}

/** @param {RgbImage} full @returns {ScaledFrame} */
function toScaled(full) {
  const small = shrink(full, SEARCH_SIDE_PX);
  return { full, small, factor: full.width / small.width };
}

/** @param {Box} box @param {number} factor */
function scaleBox(box, factor) {
  return /** @type {Box} */ (box.map((value) => value * factor));
}

/**
 * Compute [height, width] of each level of the pyramid.
 * @param {number} height
 * @param {number} width
 * @returns {[number, number][]}
 */
export function pyramidSides(height, width) {
  /** @type {[number, number][]} */
  const sides = [];
  for (
    let factor = PNET_CELL_PX / MIN_FACE_PX;
    Math.min(height, width) * factor >= PNET_CELL_PX;
    factor *= PYRAMID_SCALE
  ) {
    const [rows, columns] = [roundHalfEven(height * factor), roundHalfEven(width * factor)];
    sides.push([Math.max(PNET_CELL_PX, rows), Math.max(PNET_CELL_PX, columns)]);
  }
  return sides;
}

/** @param {RgbImage} image @param {number} sidePx longest side of the result */
function shrink(image, sidePx) {
  const factor = sidePx / Math.max(image.height, image.width);
  if (factor >= 1) return image;
  const [width, height] = [roundHalfEven(image.width * factor), roundHalfEven(image.height * factor)];
  return resize(image, fullRegion(image), Math.max(1, width), Math.max(1, height), "area");
}

/** @param {RgbImage} image @param {Network} pnet */
async function propose(image, pnet) {
  /** @type {Face[]} */
  const found = [];
  let level = image;
  for (const [height, width] of pyramidSides(image.height, image.width)) {
    level = resize(level, fullRegion(level), width, height, "area");
    const { score, offset } = await pnet(toPlanes([level], MTCNN_MEAN, MTCNN_STD), [1, 3, height, width]);
    if (score && offset) found.push(...decodeMap(score, offset, level, image));
  }
  return suppress(found, boxOf, PNET_NMS_IOU);
}

/**
 * Decode P-Net's maps into candidates.
 * @param {Tensor} score
 * @param {Tensor} offset
 * @param {RgbImage} level
 * @param {RgbImage} image
 * @returns {Face[]} px of `image`
 */
function decodeMap(score, offset, level, image) {
  const [, rows = 0, columns = 0] = score.dims;
  const [toX, toY, count] = [image.width / level.width, image.height / level.height, rows * columns];
  const cells = [];
  for (let at = 0; at < count; at++) {
    const confidence = score.data[at] ?? 0;
    if (confidence <= MIN_SCORE[0]) continue;
    const [x, y] = [PNET_STRIDE_PX * (at % columns), PNET_STRIDE_PX * Math.floor(at / columns)];
    const cell = /** @type {Box} */ ([x * toX, y * toY, (x + PNET_CELL_PX) * toX, (y + PNET_CELL_PX) * toY]);
    const shift = /** @type {Box} */ ([0, 1, 2, 3].map((part) => offset.data[part * count + at] ?? 0));
    cells.push({ cell, score: confidence, box: applyOffset(cell, shift) });
  }
  const best = cells.sort((a, b) => b.score - a.score).slice(0, MAX_PROPOSALS);
  return suppress(best, ({ cell }) => cell, LEVEL_NMS_IOU);
}

/** @param {RgbImage} image @param {readonly Box[]} proposed @param {Network} rnet */
async function refine(image, proposed, rnet) {
  const moved = await regress(rnet, image, proposed, RNET_SIDE_PX);
  const likely = moved.filter((face) => face.score > MIN_SCORE[1]);
  return suppress(likely, boxOf, RNET_NMS_IOU);
}

/**
 * Run O-Net on every candidate: the mean over all squares of a face is steadier than the best of them.
 * @param {RgbImage} image
 * @param {readonly Box[]} refined
 * @param {Network} onet
 * @returns {Promise<Face[]>}
 */
async function localize(image, refined, onet) {
  const moved = await regress(onet, image, refined, ONET_SIDE_PX);
  const likely = moved.filter(({ box, score }) => score > MIN_SCORE[2] && box[2] > box[0] && box[3] > box[1]);
  return suppress(likely, boxOf, ONET_NMS_OVERLAP, true).map((face) => ({
    box: weightedMean(likely.filter(({ box }) => overlap(face.box, box) > ONET_NMS_OVERLAP)),
    score: face.score,
  }));
}

/** @param {readonly Face[]} votes weighted by their scores @returns {Box} */
function weightedMean(votes) {
  const sum = votes.reduce((total, { score }) => total + score, 0);
  const part = (/** @type {number} */ side) =>
    votes.reduce((total, { box, score }) => total + (score * (box[side] ?? 0)) / sum, 0);
  return [part(0), part(1), part(2), part(3)];
}

/**
 * Score the squares around boxes and shift each as the network says.
 * @param {Network} network
 * @param {RgbImage} image
 * @param {readonly Box[]} boxes
 * @param {number} sidePx of the network's input
 * @returns {Promise<Face[]>}
 */
async function regress(network, image, boxes, sidePx) {
  /** @type {Face[]} */
  const moved = [];
  for (let start = 0; start < boxes.length; start += PATCHES_PER_BATCH) {
    const squares = boxes.slice(start, start + PATCHES_PER_BATCH).map(toSquare);
    const patches = squares.map((square) => extractPatch(image, square, sidePx));
    const shape = [patches.length, 3, sidePx, sidePx];
    const { score, offset } = await network(toPlanes(patches, MTCNN_MEAN, MTCNN_STD), shape);
    for (const [row, square] of squares.entries()) {
      const shift = /** @type {Box} */ ([0, 1, 2, 3].map((part) => offset?.data[4 * row + part] ?? 0));
      moved.push({ box: applyOffset(square, shift), score: score?.data[row] ?? 0 });
    }
  }
  return moved;
}

/**
 * Resize a box to a square; what lies beyond the image is black.
 * @param {RgbImage} image
 * @param {Box} box
 * @param {number} sidePx
 */
export function extractPatch(image, box, sidePx) {
  const [left, top, right, bottom] = /** @type {Box} */ (box.map(roundHalfEven));
  const [width, height] = [Math.max(right - left, 1), Math.max(bottom - top, 1)];
  const region = { left, top, width, height };
  return resize(image, region, sidePx, sidePx, width >= sidePx ? "area" : "linear", "black");
}

/** @param {Face} face */
function boxOf({ box }) {
  return box;
}
