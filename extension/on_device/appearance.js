/**
 * What a face looks like, to find a person again in another shot, as in Python's `faces/appearance.py`. Pure; the
 * projection is given.
 *
 * @import { RgbImage } from "./image-ops.js"
 * @typedef {[number, number]} Point px
 */

import constants from "../shared/constants.js";

const { SIDE_PX, LANDMARKS_PX, CELLS, DIRECTIONS, COLOUR_WEIGHT, RGB_TO_XYZ } = constants.appearance;
const CELL_PX = SIDE_PX / CELLS;
const FEATURES = CELLS * CELLS * (DIRECTIONS + 3);

/**
 * Embed the face with these landmarks; the dot product of two embeddings is their similarity.
 * @param {RgbImage} image
 * @param {readonly Point[]} landmarks
 * @param {Float32Array} projection the mean of features, then the matrix, row by row
 * @returns {number[]} of length one
 */
export function embed(image, landmarks, projection) {
  const found = Array(projection.length / FEATURES - 1).fill(0);
  for (const [row, value] of features(align(image, landmarks)).entries()) {
    const centred = value - (projection[row] ?? 0);
    for (let at = 0; at < found.length; at++)
      found[at] += centred * (projection[FEATURES + row * found.length + at] ?? 0);
  }
  const length = Math.max(Math.hypot(...found), 1e-6);
  return found.map((value) => value / length);
}

/** Compute the dot product. @param {readonly number[]} first @param {readonly number[]} second */
export function dot(first, second) {
  return first.reduce((sum, value, place) => sum + value * (second[place] ?? 0), 0);
}

/**
 * Turn, scale and move a face so that its landmarks lie at LANDMARKS_PX (Umeyama, 1991); beyond the image its edge is
 * repeated.
 * @param {RgbImage} image
 * @param {readonly Point[]} landmarks
 * @returns {RgbImage}
 */
function align({ width, height, data }, landmarks) {
  const [here, there] = [meanOf(landmarks), meanOf(LANDMARKS_PX)];
  let [size, cos, sin] = [0, 0, 0];
  for (const [place, [toX, toY]] of LANDMARKS_PX.entries()) {
    const [x = 0, y = 0] = landmarks[place] ?? [];
    const [u, v, left, down] = [x - here[0], y - here[1], toX - there[0], toY - there[1]];
    size += u * u + v * v;
    cos += u * left + v * down;
    sin += u * down - v * left;
  }
  const scale = Math.max(size, 1e-6) / Math.max(cos * cos + sin * sin, 1e-12); // of the way back
  const face = new Uint8Array(3 * SIDE_PX * SIDE_PX);
  const clampTo = (/** @type {number} */ value, /** @type {number} */ last) => Math.min(Math.max(value, 0), last);
  for (let row = 0, to = 0; row < SIDE_PX; row++) {
    for (let column = 0; column < SIDE_PX; column++, to += 3) {
      const [left, down] = [column - there[0], row - there[1]];
      const x = clampTo(here[0] + scale * (cos * left + sin * down), width - 1);
      const y = clampTo(here[1] + scale * (cos * down - sin * left), height - 1);
      const [x0, y0] = [Math.floor(x), Math.floor(y)];
      const [dx, dy, x1, y1] = [x - x0, y - y0, Math.min(x0 + 1, width - 1), Math.min(y0 + 1, height - 1)];
      for (let colour = 0; colour < 3; colour++) {
        const at = (/** @type {number} */ px, /** @type {number} */ py) => data[3 * (py * width + px) + colour] ?? 0;
        const [upper, lower] = [at(x0, y0) * (1 - dx) + at(x1, y0) * dx, at(x0, y1) * (1 - dx) + at(x1, y1) * dx];
        face[to + colour] = Math.round(upper * (1 - dy) + lower * dy);
      }
    }
  }
  return { width: SIDE_PX, height: SIDE_PX, data: face };
}

/** @param {readonly (readonly [number, number])[]} points @returns {Point} */
function meanOf(points) {
  const mean = (/** @type {0 | 1} */ axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  return [mean(0), mean(1)];
}

/** Compute gradients (Dalal and Triggs, CVPR 2005) and colours in cells of an aligned face. @param {RgbImage} face */
function features({ data }) {
  const found = new Float64Array(FEATURES);
  const cells = gradientCells(Float64Array.from({ length: SIDE_PX * SIDE_PX }, (_, at) => Math.sqrt(grayAt(data, at))));
  const energies = Array.from({ length: CELLS * CELLS }, (_, cell) =>
    cells.subarray(cell * DIRECTIONS, (cell + 1) * DIRECTIONS).reduce((sum, value) => sum + value * value, 0),
  );
  for (const [at, value] of cells.entries()) {
    found[at] = value / (Math.sqrt(meanAround(energies, Math.floor(at / DIRECTIONS))) + 1e-3);
  }
  for (let place = 0; place < SIDE_PX * SIDE_PX; place++) {
    for (const [colour, value] of toLab(data, 3 * place).entries()) {
      const at = cells.length + 3 * cellOf(place) + colour;
      found[at] = (found[at] ?? 0) + (value * COLOUR_WEIGHT) / (255 * CELL_PX * CELL_PX);
    }
  }
  return found;
}

/** @param {RgbImage["data"]} data @param {number} place */
function grayAt(data, place) {
  const [red, green, blue] = [data[3 * place] ?? 0, data[3 * place + 1] ?? 0, data[3 * place + 2] ?? 0];
  return Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
}

/** @param {number} place of a pixel */
function cellOf(place) {
  return CELLS * Math.floor(place / SIDE_PX / CELL_PX) + Math.floor((place % SIDE_PX) / CELL_PX);
}

/** Sum up the gradients of each cell by their directions. @param {Float64Array} gray */
function gradientCells(gray) {
  const cells = new Float64Array(CELLS * CELLS * DIRECTIONS);
  for (let place = 0; place < gray.length; place++) {
    const [x, y] = [place % SIDE_PX, Math.floor(place / SIDE_PX)];
    const at = (/** @type {number} */ right, /** @type {number} */ down) =>
      gray[mirror(y + down, SIDE_PX) * SIDE_PX + mirror(x + right, SIDE_PX)] ?? 0;
    const across = at(1, -1) - at(-1, -1) + 2 * (at(1, 0) - at(-1, 0)) + at(1, 1) - at(-1, 1);
    const down = at(-1, 1) - at(-1, -1) + 2 * (at(0, 1) - at(0, -1)) + at(1, 1) - at(1, -1);
    const size = Math.hypot(across, down);
    const direction = ((Math.atan2(down, across) + Math.PI) / Math.PI) * DIRECTIONS; // of a half circle
    const lower = Math.floor(direction);
    const [to, rest] = [cellOf(place) * DIRECTIONS, size * (direction - lower)];
    cells[to + (lower % DIRECTIONS)] = (cells[to + (lower % DIRECTIONS)] ?? 0) + size - rest;
    cells[to + ((lower + 1) % DIRECTIONS)] = (cells[to + ((lower + 1) % DIRECTIONS)] ?? 0) + rest;
  }
  return cells;
}

/** Average a cell and its neighbours. @param {readonly number[]} values @param {number} cell */
function meanAround(values, cell) {
  let sum = 0;
  for (const down of [-1, 0, 1]) {
    for (const right of [-1, 0, 1]) {
      const [x, y] = [mirror((cell % CELLS) + right, CELLS), mirror(Math.floor(cell / CELLS) + down, CELLS)];
      sum += (values[y * CELLS + x] ?? 0) / 9;
    }
  }
  return sum;
}

/** @param {number} at @param {number} size */
function mirror(at, size) {
  return at < 0 ? -at : at >= size ? 2 * size - 2 - at : at;
}

/** Convert a pixel from sRGB to CIELAB (D65), scaled to 0..255. @param {RgbImage["data"]} data @param {number} at */
function toLab(data, at) {
  const linear = [0, 1, 2].map((colour) => {
    const share = (data[at + colour] ?? 0) / 255;
    return share > 0.04045 ? ((share + 0.055) / 1.055) ** 2.4 : share / 12.92;
  });
  const [x = 0, y = 0, z = 0] = RGB_TO_XYZ.map((row) => {
    const value = dot(row, linear);
    return value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116;
  });
  return [(116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128];
}
