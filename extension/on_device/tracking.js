/**
 * Faces of successive frames joined into tracks, as in Python's `faces/tracking.py`. Pure.
 *
 * @import { Box } from "./boxes.js"
 * @import { Face, Point } from "./face-detector.js"
 * @import { RgbImage } from "./image-ops.js"
 *
 * @typedef {object} Detection one face in one frame of a window
 * @property {number} frame
 * @property {number} seconds
 * @property {Box} box
 * @property {Point[]} landmarks
 *
 * @typedef {object} Track one face through the frames of one window
 * @property {number} id the same for one person in all windows
 * @property {Detection[]} detections in order of time, at least one
 *
 * @typedef {object} Window
 * @property {readonly RgbImage[]} images
 * @property {number[]} seconds
 * @property {number} turns quarters counter-clockwise by which `images` were turned against what a player shows
 */

import constants from "../shared/constants.js";
import { area, displacement, matchByIou, matchGreedily, sideLength } from "./boxes.js";
import { extractPatch } from "./face-detector.js";

const { MAX_GAP_FRAMES, MAX_STEP_SIDES, MAX_SIZE_RATIO, SHARPNESS_SIDE_PX, CROP_SHARPNESS_SIDE_PX } =
  constants.tracking;
const { MIN_SIDE_PX, MIN_SHARPNESS, MIN_FRAMES } = constants.tracking;

/**
 * Join the faces of frames of one shot into tracks.
 * @param {readonly Face[][]} faces of each frame
 * @param {readonly number[]} seconds
 * @param {readonly Track[]} known the last track of every face of the same shot
 * @param {number} [firstId] of new ones
 * @returns {Track[]} ordered by id
 */
export function linkTracks(faces, seconds, known, firstId = 0) {
  const tracks = joinDetections(faces, seconds).map((detections) => ({ id: -1, detections }));
  const similarity = tracks.map((track) => known.map((old) => nearness(firstBox(track), lastBox(old))));
  for (const [row, column] of matchGreedily(similarity)) {
    /** @type {Track} */ (tracks[row]).id = known[column]?.id ?? -1;
  }
  let next = Math.max(firstId, ...known.map(({ id }) => id + 1));
  const newTracks = tracks.filter(({ id }) => id < 0).sort((a, b) => medianSide(b) - medianSide(a));
  for (const track of newTracks) track.id = next++;
  return tracks.sort((a, b) => a.id - b.id);
}

/** @param {readonly Face[][]} faces @param {readonly number[]} seconds @returns {Detection[][]} */
function joinDetections(faces, seconds) {
  /** @type {Detection[][]} */
  const found = [];
  for (const [frame, some] of faces.entries()) {
    const detections = some.map(({ box, landmarks }) => ({ frame, seconds: seconds[frame] ?? 0, box, landmarks }));
    const live = found.filter((path) => frame - (path.at(-1)?.frame ?? -Infinity) <= MAX_GAP_FRAMES + 1);
    const ends = live.map((path) => /** @type {Detection} */ (path.at(-1)).box);
    const pairs = matchByIou(
      ends,
      detections.map(({ box }) => box),
    );
    for (const [row, face] of pairs) live[row]?.push(/** @type {Detection} */ (detections[face]));
    const matched = new Set(pairs.map(([, face]) => face));
    found.push(...detections.filter((_, face) => !matched.has(face)).map((detection) => [detection]));
  }
  return found;
}

/** @param {Box} now @param {Box} before */
function nearness(now, before) {
  const [distance, ratio] = displacement(now, before);
  return distance <= MAX_STEP_SIDES && ratio <= MAX_SIZE_RATIO ? -distance : -Infinity;
}

/** @param {Track} track */
function firstBox({ detections }) {
  return /** @type {Detection} */ (detections[0]).box;
}

/** @param {Track} track */
function lastBox({ detections }) {
  return /** @type {Detection} */ (detections.at(-1)).box;
}

/** @param {Track} track */
function medianSide({ detections }) {
  return median(detections.map(({ box }) => sideLength(box)));
}

/** Average the area over the frames, in px². @param {Track} track */
export function meanArea({ detections }) {
  return detections.reduce((sum, { box }) => sum + area(box), 0) / detections.length;
}

/** Compute the median, of an even count the mean of the middle two. @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

// --- which tracks are scored

/**
 * Find the reason why a track is not worth scoring.
 * @param {Track} track
 * @param {Window} window
 * @returns {string | null} a stable code
 */
export function exclusionReason(track, { images }) {
  if (track.detections.length < Math.min(MIN_FRAMES, images.length)) return "face_too_brief";
  if (medianSide(track) < MIN_SIDE_PX) return "face_too_small";
  const values = track.detections.map(({ frame, box }) => sharpness(/** @type {RgbImage} */ (images[frame]), box));
  return median(values) < MIN_SHARPNESS ? "face_too_blurred" : null;
}

/**
 * Measure the sharpness of a face's crops, as the model gets them, at a finer size.
 * @param {readonly RgbImage[]} crops
 */
export function cropSharpness(crops) {
  return median(crops.map((crop) => sharpness(crop, [0, 0, crop.width, crop.height], CROP_SHARPNESS_SIDE_PX)));
}

/**
 * Compute the share of fine detail: variance of the Laplacian over the variance, at one size.
 * @param {RgbImage} image
 * @param {Box} box
 * @param {number} [sidePx]
 */
export function sharpness(image, [x1, y1, x2, y2], sidePx = SHARPNESS_SIDE_PX) {
  const { width, height } = image;
  const clamp = (/** @type {number} */ value, /** @type {number} */ size) => Math.min(Math.max(value, 0), size);
  const inside = /** @type {Box} */ ([clamp(x1, width), clamp(y1, height), clamp(x2, width), clamp(y2, height)]);
  const gray = toGray(extractPatch(image, inside, sidePx));
  return variance(laplacian(gray, sidePx)) / Math.max(variance(gray), 1);
}

/** @param {RgbImage} image */
function toGray({ data }) {
  return Float64Array.from({ length: data.length / 3 }, (_, place) => {
    const [red, green, blue] = [data[3 * place] ?? 0, data[3 * place + 1] ?? 0, data[3 * place + 2] ?? 0];
    return Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
  });
}

/**
 * Apply the 3x3 Laplacian; beyond its edge the image is mirrored.
 * @param {Float64Array} gray
 * @param {number} width of the square
 */
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
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
}
