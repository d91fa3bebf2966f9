/**
 * What the model looked at, as unmask/explain.py shows it: a heatmap on a face. Pure.
 *
 * @typedef {import("./clips.js").ClipSpec} ClipSpec
 * @typedef {import("./face-detector.js").Network} Network
 * @typedef {import("./image-ops.js").Picture} Picture
 */

import { toInput } from "./clips.js";
import { blur, scale, whole } from "./image-ops.js";

const BLUR_SHARE = 1 / 32; // of the side: radius of the blur that takes a face's details away
const GLOW_FROM = 0.3; // colder places show the face unchanged
const GLOW_OPACITY = 0.6; // of the hottest place
const OUTLINE_FROM = 0.6; // hotter places are outlined, for eyes that do not tell the colours apart
const COOL = [168, 46, 94]; // magenta to orange: neither black nor white
const WARM = [245, 124, 21];

/**
 * Which places of a face its score rests on, when it is judged alone. A network finds them (training/export.py), as
 * this runtime knows no gradients.
 *
 * @param {Picture} face a square
 * @param {ClipSpec} spec
 * @param {{model: Network, heat: Network}} networks
 * @returns {Promise<Float32Array>} (side, side) in 0..1; all 0 for a face without details
 */
export async function heatmap(face, spec, { model, heat }) {
  const { data, shape } = toInput([blur(face, BLUR_SHARE * face.width), face], spec);
  const { maps } = await model(data, shape);
  if (!maps) throw new Error("a model without maps");
  const { data: raw, dims: [height = 0, width = 0] } = /** @type {import("./face-detector.js").Tensor} */ ((await heat(maps.data, [...maps.dims])).heat);
  return enlarge({ width, height, data: levels(raw) }, face);
}

/** Grey, the hottest place white. @param {Float32Array} heat */
function levels(heat) {
  const hottest = Math.max(...heat, Number.MIN_VALUE);
  return Uint8Array.from({ length: 3 * heat.length }, (_, at) => Math.round((255 * (heat[Math.floor(at / 3)] ?? 0)) / hottest));
}

/** @param {Picture} heat grey @param {Picture} face */
function enlarge(heat, { width, height }) {
  const { data } = scale(heat, whole(heat), width, height, "cubic");
  return Float32Array.from({ length: width * height }, (_, place) => (data[3 * place] ?? 0) / 255);
}

/** A warm glow, and a line around the hot places. @param {Picture} face @param {Float32Array} heat (side, side) in 0..1 @returns {Picture} */
export function paint({ width, height, data }, heat) {
  const painted = new Uint8ClampedArray(data);
  const isHot = (/** @type {number} */ x, /** @type {number} */ y) => x >= 0 && y >= 0 && x < width && y < height && (heat[y * width + x] ?? 0) >= OUTLINE_FROM;
  const touches = (/** @type {number} */ x, /** @type {number} */ y, /** @type {boolean} */ hot) => isHot(x - 1, y) === hot || isHot(x + 1, y) === hot || isHot(x, y - 1) === hot || isHot(x, y + 1) === hot;
  for (let place = 0; place < width * height; place++) {
    const [x, y] = [place % width, Math.floor(place / width)];
    const shown = Math.max(0, ((heat[place] ?? 0) - GLOW_FROM) / (1 - GLOW_FROM));
    const edge = isHot(x, y) ? touches(x, y, false) && 255 : touches(x, y, true) && 0; // white inside, black outside: seen on light and dark
    for (let color = 0; color < 3; color++) {
      const glow = (COOL[color] ?? 0) + shown * ((WARM[color] ?? 0) - (COOL[color] ?? 0));
      const opacity = GLOW_OPACITY * shown;
      painted[3 * place + color] = edge === false ? (1 - opacity) * (data[3 * place + color] ?? 0) + opacity * glow : edge;
    }
  }
  return { width, height, data: painted };
}
