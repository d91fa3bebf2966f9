/**
 * Tracks -> clips -> network input, as in Python's `faces/clips.py`. Pure.
 *
 * @import { Box } from "./boxes.js"
 * @import { Track, Window } from "./tracking.js"
 * @import { RgbImage } from "./image-ops.js"
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
 * @property {RgbImage[]} images squares
 * @property {number[]} seconds
 */

import { sideLength } from "./boxes.js";
import { thin } from "./frame-windows.js";
import { resize, roundHalfEven, toPlanes } from "./image-ops.js";

/**
 * Crop a track out of its window.
 * @param {Window} window
 * @param {Track} track
 * @param {ClipSpec} spec
 * @returns {Clip}
 */
export function cropClip({ images }, track, spec) {
  const indices = thin(
    track.detections.map(({ seconds }) => seconds),
    spec.frame_stride_seconds,
  );
  const kept = indices.slice(0, spec.frames_per_clip).flatMap((index) => track.detections[index] ?? []);
  const crop = (/** @type {number} */ frame, /** @type {Box} */ box) =>
    cropSquare(/** @type {RgbImage} */ (images[frame]), squareAround(box, spec), spec.side_px);
  return { images: kept.map(({ frame, box }) => crop(frame, box)), seconds: kept.map(({ seconds }) => seconds) };
}

/**
 * Compute the square that the spec cuts around a face.
 * @param {Box} box
 * @param {ClipSpec} spec
 * @returns {Box}
 */
export function squareAround(box, spec) {
  const sidePx = sideLength(box) * spec.crop_scale;
  const [right, down] = spec.crop_shift;
  const [x, y] = [(box[0] + box[2]) / 2 + right * sidePx, (box[1] + box[3]) / 2 + down * sidePx];
  return [x - sidePx / 2, y - sidePx / 2, x + sidePx / 2, y + sidePx / 2];
}

/**
 * Cut out a square and resize it; beyond the image its edge is repeated.
 * @param {RgbImage} image
 * @param {Box} box
 * @param {number} sidePx
 */
export function cropSquare(image, [x1, y1, x2, y2], sidePx) {
  const [width, height] = [Math.max(1, roundHalfEven(x2 - x1)), Math.max(1, roundHalfEven(y2 - y1))];
  const region = { left: roundHalfEven(x1), top: roundHalfEven(y1), width, height };
  return resize(image, region, sidePx, sidePx, Math.min(width, height) >= sidePx ? "area" : "cubic");
}

/**
 * Normalise crops into the network's input.
 * @param {readonly RgbImage[]} crops
 * @param {ClipSpec} spec
 * @returns {{data: Float32Array, shape: number[]}} (T, 3, S, S)
 */
export function toInput(crops, { mean, std, side_px }) {
  const to255 = (/** @type {[number, number, number]} */ [red, green, blue]) =>
    /** @type {const} */ ([255 * red, 255 * green, 255 * blue]);
  return { data: toPlanes(crops, to255(mean), to255(std)), shape: [crops.length, 3, side_px, side_px] };
}
