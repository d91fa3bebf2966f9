/**
 * The heatmap of a face: which places its score rests on, as in Python's `models/saliency.py`. Pure.
 *
 * @import { ClipSpec } from "./clips.js"
 * @import { Network } from "./face-detector.js"
 * @import { RgbImage } from "./image-ops.js"
 */

import constants from "../shared/constants.js";
import { toInput } from "./clips.js";
import { fullRegion, gaussianBlur, resize } from "./image-ops.js";

const { BLUR_SHARE, GLOW_FROM, GLOW_OPACITY, OUTLINE_FROM } = constants.saliency;
const COOL = [168, 46, 94]; // magenta to orange: neither black nor white
const WARM = [245, 124, 21];

/**
 * Compute the heatmap of a face that is scored alone, by a network of its own: this runtime has no gradients.
 * @param {RgbImage} face a square
 * @param {ClipSpec} spec
 * @param {{model: Network, heat: Network}} networks
 * @returns {Promise<Float32Array>} (side, side) in 0..1; all 0 for a face without details
 */
export async function computeHeatmap(face, spec, { model, heat }) {
  const { data, shape } = toInput([gaussianBlur(face, BLUR_SHARE * face.width), face], spec);
  const { maps } = await model(data, shape);
  if (!maps) throw new Error("the model gives no feature maps");
  const { heat: tensor } = await heat(maps.data, [...maps.dims]);
  if (!tensor) throw new Error("the saliency network gives no heat");
  const [height = 0, width = 0] = tensor.dims;
  const gray = { width, height, data: toGrayLevels(tensor.data) };
  const enlarged = resize(gray, fullRegion(gray), face.width, face.height, "cubic");
  return Float32Array.from({ length: face.width * face.height }, (_, place) => (enlarged.data[3 * place] ?? 0) / 255);
}

/** @param {Float32Array} heat @returns {Uint8Array} gray as RGB, the hottest place white */
function toGrayLevels(heat) {
  const hottest = Math.max(...heat, Number.MIN_VALUE);
  const level = (/** @type {number} */ at) => Math.round((255 * (heat[Math.floor(at / 3)] ?? 0)) / hottest);
  return Uint8Array.from({ length: 3 * heat.length }, (_, at) => level(at));
}

/**
 * Lay a heatmap over a face: a warm glow, and an outline of the hot places.
 * @param {RgbImage} face
 * @param {Float32Array} heat (side, side) in 0..1
 * @returns {RgbImage}
 */
export function overlayHeatmap({ width, height, data }, heat) {
  const painted = new Uint8ClampedArray(data);
  for (let place = 0; place < width * height; place++) {
    const share = Math.max(0, ((heat[place] ?? 0) - GLOW_FROM) / (1 - GLOW_FROM));
    const opacity = GLOW_OPACITY * share;
    const edge = outlineAt(heat, width, height, place % width, Math.floor(place / width));
    for (let color = 0; color < 3; color++) {
      const glow = (COOL[color] ?? 0) + share * ((WARM[color] ?? 0) - (COOL[color] ?? 0));
      const blended = (1 - opacity) * (data[3 * place + color] ?? 0) + opacity * glow;
      painted[3 * place + color] = edge ?? blended;
    }
  }
  return { width, height, data: painted };
}

/**
 * Find the gray level of the outline at a pixel: white inside, black outside, so that it is seen on light and dark.
 * @param {Float32Array} heat
 * @param {number} width
 * @param {number} height
 * @param {number} x
 * @param {number} y
 * @returns {number | null} null: there is no outline
 */
function outlineAt(heat, width, height, x, y) {
  const isHot = (/** @type {number} */ x, /** @type {number} */ y) =>
    x >= 0 && y >= 0 && x < width && y < height && (heat[y * width + x] ?? 0) >= OUTLINE_FROM;
  const here = isHot(x, y);
  const isEdge = [isHot(x - 1, y), isHot(x + 1, y), isHot(x, y - 1), isHot(x, y + 1)].some((hot) => hot !== here);
  return isEdge ? (here ? 255 : 0) : null;
}
