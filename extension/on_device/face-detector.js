/**
 * MTCNN on a pyramid of shrunk frames, as in Python's `faces/detector.py`. Pure; its three networks are given.
 *
 * @import { Box } from "./boxes.js"
 * @import { RgbImage } from "./image-ops.js"
 *
 * @typedef {(data: Float32Array, shape: number[]) => Promise<Record<string, Tensor>>} Network
 * @typedef {{data: Float32Array, dims: readonly number[]}} Tensor
 * @typedef {{pnet: Network, rnet: Network, onet: Network}} Networks
 *
 * @typedef {[number, number]} Point px
 * @typedef {{box: Box, score: number}} ScoredBox px of the frame; may reach beyond it
 * @typedef {ScoredBox & {landmarks: Point[]}} Face landmarks: eyes left and right in the picture, nose, mouth
 *
 * @typedef {object} ScaledFrame one frame in both sizes
 * @property {RgbImage} full
 * @property {RgbImage} small the one that is searched
 * @property {number} factor from the small one to the full one
 *
 * @typedef {object} SearchResult
 * @property {Box[]} refined by R-Net, best first
 * @property {Face[]} faces
 */

import constants from "../shared/constants.js";
import { applyOffset, matchByIou, overlap, suppress, toSquare, warpBox } from "./boxes.js";
import { fullRegion, resize, roundHalfEven, toPlanes } from "./image-ops.js";

const { SEARCH_SIDE_PX, MIN_FACE_PX, MIN_FULL_FACE_PX, PNET_CELL_PX, PNET_STRIDE_PX } = constants.face_detector;
const { PYRAMID_SCALE, MIN_SCORE, BOXES_PER_FACE } = constants.face_detector;
const { LEVEL_NMS_IOU, PNET_NMS_IOU, RNET_NMS_IOU, ONET_NMS_OVERLAP, MAX_PROPOSALS, ON_FACE_MIN_IOU } =
  constants.face_detector;
const { FRAMES_PER_GROUP, PATCHES_PER_BATCH } = constants.face_detector;
const MTCNN_MEAN = /** @type {const} */ ([127.5, 127.5, 127.5]);
const MTCNN_STD = /** @type {const} */ ([128, 128, 128]);
const RNET_SIDE_PX = 24;
const ONET_SIDE_PX = 48;
const LANDMARKS = 5;

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
 * Search the first and last frame; between frames that show the same faces, only confirm these, and between others
 * search the one in the middle, and so on.
 * @param {readonly ScaledFrame[]} frames
 * @param {Networks} networks
 */
async function detectBatch(frames, networks) {
  /** @type {SearchResult[]} by the frame's place */
  const searched = [];
  const look = async (/** @type {number} */ row) =>
    (searched[row] ??= await search(/** @type {ScaledFrame} */ (frames[row]), networks));
  /** @type {Face[][]} */
  const found = [];
  const gaps = [/** @type {[number, number]} */ ([0, frames.length - 1])];
  for (const [start, end] of gaps) {
    const [first, last] = [await look(start), await look(end)];
    const guesses = extrapolateBoxes(first, last, end - start - 1);
    for (const [step, guess] of guesses.entries()) {
      const frame = /** @type {ScaledFrame} */ (frames[start + 1 + step]);
      const faces = await localize(frame.full, guess, networks.onet);
      if (faces.length === first.faces.length) found[start + 1 + step] = faces;
    }
    if (!guesses.length && end - start > 1 && first.faces.length + last.faces.length) {
      const middle = Math.floor((start + end) / 2);
      gaps.push([start, middle], [middle, end]);
    }
  }
  for (const row of frames.keys()) found[row] ??= (await look(row)).faces;
  return found;
}

/**
 * Guess boxes for the frames between two searched ones: the best of the nearer one, warped with their face.
 * @param {SearchResult} first
 * @param {SearchResult} last
 * @param {number} count of the frames between
 * @returns {Box[][]} empty where the two do not show the same faces, or show none
 */
export function extrapolateBoxes(first, last, count) {
  const [starts, ends] = [first.faces.map(boxOf), last.faces.map(boxOf)];
  const pairs = matchByIou(starts, ends);
  if (!pairs.length || pairs.length !== starts.length || pairs.length !== ends.length) return [];
  const paths = pairs.map(([row, column]) => /** @type {[Box, Box]} */ ([starts[row], ends[column]]));
  return Array.from({ length: Math.max(0, count) }, (_, step) => {
    const share = (step + 1) / (count + 1);
    const { refined } = share <= 0.5 ? first : last;
    return paths.flatMap(([start, end]) => {
      const before = share <= 0.5 ? start : end;
      const now = /** @type {Box} */ (start.map((from, part) => from + share * ((end[part] ?? 0) - from)));
      return refined
        .filter((box) => overlap(box, before) > ON_FACE_MIN_IOU)
        .slice(0, BOXES_PER_FACE)
        .map((box) => warpBox(box, before, now));
    });
  });
}

/** @param {ScaledFrame} frame @param {Networks} networks @returns {Promise<SearchResult>} */
async function search({ full, small, factor }, networks) {
  const proposals = await propose(small, networks.pnet, Math.max(MIN_FACE_PX, MIN_FULL_FACE_PX / factor));
  const refined = (await refine(small, proposals.map(boxOf), networks.rnet)).map(({ box }) => scaleBox(box, factor));
  return { refined, faces: await localize(full, refined, networks.onet) };
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
 * @param {number} minFacePx smallest face that is searched for
 * @returns {[number, number][]}
 */
function pyramidSides(height, width, minFacePx) {
  /** @type {[number, number][]} */
  const sides = [];
  for (
    let factor = PNET_CELL_PX / minFacePx;
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

/** @param {RgbImage} image @param {Network} pnet @param {number} minFacePx */
async function propose(image, pnet, minFacePx) {
  /** @type {ScoredBox[]} */
  const found = [];
  let level = image;
  for (const [height, width] of pyramidSides(image.height, image.width, minFacePx)) {
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
 * @returns {ScoredBox[]} px of `image`
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
  return suppress(likely, boxOf, ONET_NMS_OVERLAP, true).map((face) => {
    const votes = likely.filter(({ box }) => overlap(face.box, box) > ONET_NMS_OVERLAP);
    const sum = votes.reduce((total, { score }) => total + score, 0);
    const mean = (/** @type {(vote: Face) => number | undefined} */ value) =>
      votes.reduce((total, vote) => total + (vote.score * (value(vote) ?? 0)) / sum, 0);
    return {
      box: /** @type {Box} */ (face.box.map((_, side) => mean(({ box }) => box[side]))),
      landmarks: face.landmarks.map(
        (_, at) => /** @type {Point} */ ([0, 1].map((axis) => mean(({ landmarks }) => landmarks[at]?.[axis]))),
      ),
      score: face.score,
    };
  });
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
    const patches = squares.map((square) => extractPatch(image, square, sidePx, true));
    const shape = [patches.length, 3, sidePx, sidePx];
    const { score, offset, points } = await network(toPlanes(patches, MTCNN_MEAN, MTCNN_STD), shape);
    for (const [row, square] of squares.entries()) {
      const shift = /** @type {Box} */ ([0, 1, 2, 3].map((part) => offset?.data[4 * row + part] ?? 0));
      const share = points?.data.slice(2 * LANDMARKS * row, 2 * LANDMARKS * (row + 1)) ?? []; // all x, then all y
      const [left, top, widthPx] = [square[0], square[1], square[2] - square[0]];
      const landmarks = Array.from({ length: share.length / 2 }, (_, at) => {
        const [x = 0, y = 0] = [share[at], share[at + LANDMARKS]];
        return /** @type {Point} */ ([left + x * widthPx, top + y * widthPx]);
      });
      moved.push({ box: applyOffset(square, shift), score: score?.data[row] ?? 0, landmarks });
    }
  }
  return moved;
}

/**
 * Resize a box to a square; what lies beyond the image is black.
 * @param {RgbImage} image
 * @param {Box} box
 * @param {number} sidePx
 * @param {boolean} halve first halve it as often as it goes, as Python does
 */
export function extractPatch(image, box, sidePx, halve = false) {
  const [left, top, right, bottom] = /** @type {Box} */ (box.map(roundHalfEven));
  const shorter = Math.max(Math.min(right - left, bottom - top), 1);
  const halvings = halve ? Math.floor(Math.log2(Math.max(Math.floor(shorter / sidePx), 1))) : 0;
  const snap = (/** @type {number} */ side) => roundHalfEven(Math.max(side, 1) / 2 ** halvings) * 2 ** halvings;
  const [width, height] = [snap(right - left), snap(bottom - top)];
  const method = width >= sidePx ? "area" : "linear";
  let [cut, region] = [image, { left, top, width, height }];
  for (let step = 1; step <= halvings; step += 1) {
    cut = resize(cut, region, width / 2 ** step, height / 2 ** step, "area", "black");
    region = fullRegion(cut);
  }
  return resize(cut, region, sidePx, sidePx, method, "black");
}

/** @param {ScoredBox} face */
function boxOf({ box }) {
  return box;
}
