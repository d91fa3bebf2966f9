/**
 * Faces of successive pictures -> tracks, as unmask/tracks.py. Pure.
 *
 * @typedef {import("./boxes.js").Box} Box
 * @typedef {import("./face-detector.js").Face} Face
 * @typedef {import("./image-ops.js").Picture} Picture
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

import { area, bestPairs, same, side, step } from "./boxes.js";
import { patch } from "./face-detector.js";

const MAX_GAP_FRAMES = 2;
const MAX_STEP_SIDES = 1.0;
const MAX_SIZE_RATIO = 1.6;
const SHARPNESS_SIDE_PX = 64;
const CROP_SHARPNESS_SIDE_PX = 128;
const MIN_SIDE_PX = 48;
const MIN_SHARPNESS = 0.045;
const MIN_FRAMES = 3;

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
    const pairs = same(live.map((path) => /** @type {Sighting} */ (path.at(-1)).box), some.map(({ box }) => box));
    for (const [row, face] of pairs) live[row]?.push(/** @type {Sighting} */ (sightings[face]));
    const taken = new Set(pairs.map(([, face]) => face));
    found.push(...sightings.filter((_, face) => !taken.has(face)).map((sighting) => [sighting]));
  }
  return found;
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

/** The same of a face's crops, as the model is shown them, at a finer size. @param {readonly Picture[]} crops */
export function cropSharpness(crops) {
  return median(crops.map((crop) => detail(crop, [0, 0, crop.width, crop.height], CROP_SHARPNESS_SIDE_PX)));
}

/** Share of fine detail: variance of the Laplacian over the variance, at one size. @param {Picture} picture @param {Box} box @param {number} [sidePx] */
export function detail(picture, [x1, y1, x2, y2], sidePx = SHARPNESS_SIDE_PX) {
  const { width, height } = picture;
  const inside = (/** @type {number} */ value, /** @type {number} */ size) => Math.min(Math.max(value, 0), size);
  const face = patch(picture, [inside(x1, width), inside(y1, height), inside(x2, width), inside(y2, height)], sidePx);
  const gray = grayOf(face);
  return variance(laplacian(gray, sidePx)) / Math.max(variance(gray), 1);
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
