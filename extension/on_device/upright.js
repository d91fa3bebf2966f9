/**
 * Pictures turned upright in which everybody lies on the side or stands on the head, as in Python's
 * `faces/upright.py`. Pure; the face detector is given.
 *
 * @import { Box } from "./boxes.js"
 * @import { Face } from "./face-detector.js"
 * @import { RgbImage } from "./image-ops.js"
 * @typedef {(images: readonly RgbImage[]) => Promise<Face[][]>} Detect
 * @typedef {{images: readonly RgbImage[], turns: number, faces: Face[][]}} Found
 */

import constants from "../shared/constants.js";

const { QUARTER_TURNS, MAX_TRIES } = constants.upright;

/** Find faces, and try quarter turns where most frames of a window have no upright face. */
export class UprightFinder {
  #turns = 0; // counter-clockwise, by which the pictures are turned
  #tries = MAX_TRIES; // that are left

  /** @param {Detect} detect */
  constructor(detect) {
    this.detect = detect;
  }

  /** Find the faces of a window. @param {readonly RgbImage[]} images @returns {Promise<Found>} */
  async find(images) {
    const found = await this.#findTurned(images, this.#turns);
    const seen = framesSeen(found.faces);
    if (2 * seen >= images.length || !this.#tries) return found;
    let [best, bestScore] = [0, 0];
    for (const turns of [...QUARTER_TURNS, 0]) {
      const score = turns === this.#turns ? 0 : await this.#score(images, turns);
      if (score > bestScore) [best, bestScore] = [turns, score];
    }
    const other = bestScore ? await this.#findTurned(images, best) : found;
    if (framesSeen(other.faces) > seen) {
      this.#turns = best;
      return other;
    }
    this.#tries--;
    return found;
  }

  /** @param {readonly RgbImage[]} images @param {number} turns @returns {Promise<Found>} */
  async #findTurned(images, turns) {
    const turned = images.map((image) => turn(image, turns));
    return { images: turned, turns, faces: await this.detect(turned) };
  }

  /**
   * Score the frame in the middle, and if there is a face, the first or the last as well; 0 without both.
   * @param {readonly RgbImage[]} images
   * @param {number} turns
   */
  async #score(images, turns) {
    const one = async (/** @type {number} */ at) =>
      uprightScore((await this.#findTurned(images.slice(at, at + 1), turns)).faces[0] ?? []);
    const score = await one(Math.floor(images.length / 2));
    return score && Math.min(score, (await one(0)) || (await one(images.length - 1)));
  }
}

/** @param {readonly Face[][]} faces */
function framesSeen(faces) {
  return faces.filter((some) => uprightScore(some) > 0).length;
}

/** Return the best score of a face that is taller than wide, as upright ones are. @param {readonly Face[]} faces */
function uprightScore(faces) {
  return Math.max(0, ...faces.filter(({ box: [x1, y1, x2, y2] }) => y2 - y1 > x2 - x1).map(({ score }) => score));
}

/** Turn an image counter-clockwise. @param {RgbImage} image @param {number} turns quarters @returns {RgbImage} */
export function turn(image, turns) {
  if (!turns) return image;
  const { width, height, data } = image;
  const [across, down] = turns === 2 ? [width, height] : [height, width];
  const turned = new Uint8Array(data.length);
  // where the first pixel is taken from, and how far on the next one to the right and below lie
  const [first, right, below] =
    {
      1: [width - 1, width, -1],
      2: [width * height - 1, -1, -width],
      3: [width * (height - 1), -width, 1],
    }[turns] ?? [];
  if (first === undefined || right === undefined || below === undefined) throw new RangeError(`${turns} quarter turns`);
  for (let y = 0, to = 0; y < down; y++) {
    for (let x = 0, from = 3 * (first + y * below); x < across; x++, from += 3 * right, to += 3) {
      turned[to] = data[from] ?? 0;
      turned[to + 1] = data[from + 1] ?? 0;
      turned[to + 2] = data[from + 2] ?? 0;
    }
  }
  return { width: across, height: down, data: turned };
}

/**
 * Convert a box of a turned image to that of the image as a player shows it.
 * @param {Box} box
 * @param {number} turns
 * @param {RgbImage} turned
 * @returns {Box}
 */
export function turnBack([x1, y1, x2, y2], turns, { width, height }) {
  if (turns === 1) return [height - y2, x1, height - y1, x2];
  if (turns === 2) return [width - x2, height - y2, width - x1, height - y1];
  return turns === 3 ? [y1, width - x2, y2, width - x1] : [x1, y1, x2, y2];
}
