/**
 * Resizing, blurring and layout of RGB images, with the results of OpenCV in Python. Pure.
 *
 * @typedef {object} RgbImage
 * @property {number} width
 * @property {number} height
 * @property {Uint8Array | Uint8ClampedArray} data RGB, row by row
 *
 * @typedef {object} Region whole px; may reach beyond the image
 * @property {number} left
 * @property {number} top
 * @property {number} width
 * @property {number} height
 *
 * @typedef {"area" | "linear" | "cubic"} Method area averages, for shrinking
 * @typedef {"edge" | "black"} Beyond how places outside of the image read
 *
 * @typedef {object} Taps the places of a line, and their weights, that make each place of the resized line
 * @property {Int32Array} from of place i, the first is from[i]
 * @property {Int32Array} at
 * @property {Float32Array} weight
 */

const CUBIC = -0.75; // OpenCV's
const BLUR_REACH = 3; // in sigmas to each side, OpenCV's for bytes
const MAX_KNOWN_TAPS = 256; // a few kB each
/** @type {Map<string, Taps>} the same patches are cut from frame to frame */
const knownTaps = new Map();
const HALF_UP = 1 / 4096; // bytes round halves to the even number by themselves; OpenCV rounds them up

/** Round to a whole number as Python does: halves to the even one. @param {number} value */
export function roundHalfEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * Drop the alpha channel of a canvas's pixels.
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image
 * @returns {RgbImage}
 */
export function rgbaToRgb({ width, height, data }) {
  const rgb = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    rgb[to++] = data[from] ?? 0;
    rgb[to++] = data[from + 1] ?? 0;
    rgb[to++] = data[from + 2] ?? 0;
  }
  return { width, height, data: rgb };
}

/**
 * Add the alpha channel that a canvas needs.
 * @param {RgbImage} image
 * @param {Uint8ClampedArray} rgba is written to
 */
export function rgbToRgba({ data }, rgba) {
  for (let from = 0, to = 0; from < data.length; to++) {
    rgba[to++] = data[from++] ?? 0;
    rgba[to++] = data[from++] ?? 0;
    rgba[to++] = data[from++] ?? 0;
    rgba[to] = 255;
  }
}

/** Describe the whole image as a region. @param {RgbImage} image @returns {Region} */
export function fullRegion({ width, height }) {
  return { left: 0, top: 0, width, height };
}

/**
 * Cut out a region and resize it.
 * @param {RgbImage} image
 * @param {Region} region
 * @param {number} width
 * @param {number} height of the result
 * @param {Method} method
 * @param {Beyond} [beyond]
 * @returns {RgbImage}
 */
export function resize(image, region, width, height, method, beyond = "edge") {
  if (method === "area" && isTwice(image, region, width, height)) return halveSize(image, region, width, height);
  const shrinks = method === "area" && region.width >= width && region.height >= height;
  const own = method === "area" && !shrinks ? "linear" : method;
  const columns = placeTaps(taps(region.width, width, own), region.left, image.width, beyond);
  const rows = placeTaps(taps(region.height, height, own), region.top, image.height, beyond);
  return { width, height, data: resizeColumns(resizeRows(image, columns, rows), width, height, rows) };
}

/**
 * Tell whether a region is halved, as most video frames are before the search for faces.
 * @param {RgbImage} image
 * @param {Region} region
 * @param {number} width
 * @param {number} height
 */
function isTwice(image, { left, top, ...size }, width, height) {
  const isInside = left >= 0 && top >= 0 && left + size.width <= image.width && top + size.height <= image.height;
  return isInside && size.width === 2 * width && size.height === 2 * height;
}

/**
 * Average each four pixels without filter taps, in which most of a check's time would be spent.
 * @param {RgbImage} image
 * @param {Region} region
 * @param {number} width
 * @param {number} height
 * @returns {RgbImage}
 */
function halveSize({ width: stride, data: from }, { left, top }, width, height) {
  const data = new Uint8Array(3 * width * height);
  for (let row = 0, to = 0; row < height; row++) {
    let upper = 3 * ((top + 2 * row) * stride + left);
    for (let column = 0; column < width; column++, upper += 6) {
      const lower = upper + 3 * stride;
      for (let at = 0; at < 3; at++) {
        const sum =
          (from[upper + at] ?? 0) + (from[upper + at + 3] ?? 0) + (from[lower + at] ?? 0) + (from[lower + at + 3] ?? 0);
        data[to++] = (sum + 2) >> 2;
      }
    }
  }
  return { width, height, data };
}

/**
 * Blur with a Gaussian; beyond its edge the image is mirrored.
 * @param {RgbImage} image
 * @param {number} sigma px, small beside the image
 * @returns {RgbImage}
 */
export function gaussianBlur(image, sigma) {
  const { width, height } = image;
  const [columns, rows] = [gaussianTaps(width, sigma), gaussianTaps(height, sigma)];
  return { width, height, data: resizeColumns(resizeRows(image, columns, rows), width, height, rows) };
}

/** @param {number} size @param {number} sigma @returns {Taps} */
function gaussianTaps(size, sigma) {
  const reach = Math.floor((roundHalfEven(2 * BLUR_REACH * sigma + 1) | 1) / 2);
  const steps = Array.from({ length: 2 * reach + 1 }, (_, place) => place - reach);
  const weights = steps.map((step) => Math.exp(-(step ** 2) / (2 * sigma ** 2)));
  const sum = weights.reduce((a, b) => a + b);
  return joinTaps(
    Array.from({ length: size }, (_, middle) =>
      steps.map((step, place) => [mirror(middle + step, size), (weights[place] ?? 0) / sum]),
    ),
  );
}

/** @param {number} place @param {number} size */
function mirror(place, size) {
  return size - 1 - Math.abs(size - 1 - Math.abs(place));
}

/**
 * @param {number} from length
 * @param {number} to length
 * @param {Method} method
 * @returns {Taps} relative to the line's own start
 */
function taps(from, to, method) {
  const key = `${from} ${to} ${method}`;
  const known = knownTaps.get(key);
  if (known) return known;
  const step = from / to;
  const made = joinTaps(
    Array.from({ length: to }, (_, place) =>
      method === "area" ? areaTaps(place * step, step, from) : pointTaps((place + 0.5) * step - 0.5, method, from),
    ),
  );
  if (knownTaps.size === MAX_KNOWN_TAPS) knownTaps.clear();
  knownTaps.set(key, made);
  return made;
}

/** @param {[at: number, weight: number][][]} lists one a place @returns {Taps} */
function joinTaps(lists) {
  const flat = lists.flat();
  const starts = lists.reduce((sum, list) => (sum.push((sum.at(-1) ?? 0) + list.length), sum), [0]);
  return {
    from: Int32Array.from(starts),
    at: Int32Array.from(flat, ([at]) => at),
    weight: Float32Array.from(flat, ([, weight]) => weight),
  };
}

/** @param {number} begin @param {number} length @param {number} size @returns {[number, number][]} */
function areaTaps(begin, length, size) {
  const end = Math.min(begin + length, size);
  const first = Math.floor(begin + 1e-6);
  const last = Math.max(first + 1, Math.ceil(end - 1e-6));
  return Array.from({ length: last - first }, (_, place) => {
    const at = first + place;
    return [at, (Math.min(at + 1, end) - Math.max(at, begin)) / (end - begin)];
  });
}

/** @param {number} middle @param {Method} method @param {number} size @returns {[number, number][]} */
function pointTaps(middle, method, size) {
  const at = Math.floor(middle);
  const rest = middle - at;
  const weights = method === "cubic" ? cubic(rest) : [1 - rest, rest];
  const first = method === "cubic" ? at - 1 : at;
  return weights.map((weight, place) => [clamp(first + place, size), weight]);
}

/** @param {number} x 0..1 @returns {number[]} */
function cubic(x) {
  const far = (/** @type {number} */ d) => ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC;
  const near = (/** @type {number} */ d) => ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1;
  const [a, b, c] = [far(x + 1), near(x), near(1 - x)];
  return [a, b, c, 1 - a - b - c];
}

/**
 * Shift taps to the image's px; places beyond it read the edge, or weigh nothing.
 * @param {Taps} taps
 * @param {number} begin
 * @param {number} size
 * @param {Beyond} beyond
 * @returns {Taps}
 */
function placeTaps({ from, at, weight }, begin, size, beyond) {
  const inside = at.map((place) => clamp(place + begin, size));
  const kept =
    beyond === "edge" ? weight : weight.map((value, place) => (inside[place] === (at[place] ?? 0) + begin ? value : 0));
  return { from, at: inside, weight: kept };
}

/** @param {number} place @param {number} size */
function clamp(place, size) {
  return Math.min(Math.max(place, 0), size - 1);
}

/**
 * Resize every row that is needed to its new width.
 * @param {RgbImage} image @param {Taps} columns @param {Taps} rows
 * @returns {Map<number, Float32Array>} by row of the image
 */
function resizeRows({ width, data }, { from, at, weight }, rows) {
  const scaled = new Map();
  const count = from.length - 1;
  for (const row of rows.at) {
    if (scaled.has(row)) continue;
    const line = new Float32Array(3 * count);
    for (let place = 0, to = 0, tap = 0; place < count; place++, to += 3) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (const end = from[place + 1] ?? 0; tap < end; tap++) {
        const source = 3 * (row * width + (at[tap] ?? 0));
        const share = weight[tap] ?? 0;
        red += share * (data[source] ?? 0);
        green += share * (data[source + 1] ?? 0);
        blue += share * (data[source + 2] ?? 0);
      }
      line[to] = red;
      line[to + 1] = green;
      line[to + 2] = blue;
    }
    scaled.set(row, line);
  }
  return scaled;
}

/** @param {Map<number, Float32Array>} lines @param {number} width @param {number} height @param {Taps} rows */
function resizeColumns(lines, width, height, { from, at, weight }) {
  const data = new Uint8ClampedArray(3 * width * height);
  const sum = new Float32Array(3 * width);
  for (let row = 0; row < height; row++) {
    sum.fill(HALF_UP);
    for (let tap = from[row] ?? 0; tap < (from[row + 1] ?? 0); tap++) {
      const line = /** @type {Float32Array} */ (lines.get(at[tap] ?? 0));
      const share = weight[tap] ?? 0;
      for (let place = 0; place < sum.length; place++) sum[place] = (sum[place] ?? 0) + share * (line[place] ?? 0);
    }
    data.set(sum, 3 * width * row);
  }
  return data;
}

/**
 * Normalise images of one size into network input, channel by channel.
 * @param {readonly RgbImage[]} images
 * @param {readonly [number, number, number]} mean of each colour, 0..255
 * @param {readonly [number, number, number]} std
 * @returns {Float32Array} (n, 3, height, width)
 */
export function toPlanes(images, mean, std) {
  const area = (images[0]?.width ?? 0) * (images[0]?.height ?? 0);
  const planes = new Float32Array(3 * area * images.length);
  for (const [index, { data }] of images.entries()) {
    for (const [color, middle] of mean.entries()) {
      const [begin, spread] = [(3 * index + color) * area, std[color] ?? 1];
      for (let place = 0; place < area; place++)
        planes[begin + place] = ((data[3 * place + color] ?? 0) - middle) / spread;
    }
  }
  return planes;
}
