/**
 * The shots of a video, and which of them show the same setting, as in Python's `faces/shots.py`. Pure.
 *
 * @import { RgbImage } from "./image-ops.js"
 *
 * @typedef {object} ShotPart frames of a window that belong to one shot
 * @property {number} shot the same number where an earlier setting is shown again
 * @property {number} begin of the window's frames
 * @property {number} end
 */

import constants from "../shared/constants.js";
import { fullRegion, resize } from "./image-ops.js";

const { THUMBNAIL_PX, CUT, SAME_SETTING } = constants.shots;

/** Find the shots of a video; windows are added in order. */
export class ShotFinder {
  /** @type {Float32Array[]} thumbnail of each shot where it was seen last */
  #last = [];
  #shot = -1; // which is on

  /**
   * Split a window where a cut is.
   * @param {readonly RgbImage[]} images
   * @returns {ShotPart[]}
   */
  split(images) {
    /** @type {ShotPart[]} */
    const parts = [];
    let begin = 0;
    for (const [index, image] of images.entries()) {
      const now = thumbnail(image);
      const before = this.#last[this.#shot];
      if (!before || correlation(now, before) < CUT) {
        if (index) parts.push({ shot: this.#shot, begin, end: index });
        [begin, this.#shot] = [index, this.#findSetting(now)];
      }
      this.#last[this.#shot] = now;
    }
    return [...parts, { shot: this.#shot, begin, end: images.length }];
  }

  /** Find the earlier shot that shows the same, or begin a new one. @param {Float32Array} now */
  #findSetting(now) {
    const similarity = this.#last.map((earlier) => correlation(now, earlier));
    const best = Math.max(...similarity);
    return best >= SAME_SETTING ? similarity.indexOf(best) : similarity.length;
  }
}

/** Scale down to what shots are told apart by, without mean colour and contrast. @param {RgbImage} image */
function thumbnail(image) {
  const thinned = thinOut(image);
  const small = resize(thinned, fullRegion(thinned), THUMBNAIL_PX, THUMBNAIL_PX, "area").data;
  const mean = [0, 0, 0];
  for (const [place, value] of small.entries()) mean[place % 3] = (mean[place % 3] ?? 0) + (3 * value) / small.length;
  const centred = Float32Array.from(small, (value, place) => value - (mean[place % 3] ?? 0));
  const length = Math.max(Math.sqrt(correlation(centred, centred)), 1e-3);
  return centred.map((value) => value / length);
}

/** Keep every so many pixels of large images. @param {RgbImage} image @returns {RgbImage} */
function thinOut({ width, height, data }) {
  const step = Math.max(1, Math.floor(Math.min(width, height) / (4 * THUMBNAIL_PX)));
  const [across, down] = [Math.ceil(width / step), Math.ceil(height / step)];
  const kept = new Uint8Array(3 * across * down);
  for (let y = 0, to = 0; y < height; y += step) {
    for (let from = 3 * y * width; from < 3 * (y + 1) * width; from += 3 * step, to += 3) {
      kept[to] = data[from] ?? 0;
      kept[to + 1] = data[from + 1] ?? 0;
      kept[to + 2] = data[from + 2] ?? 0;
    }
  }
  return { width: across, height: down, data: kept };
}

/** Compute how alike two thumbnails are, -1..1. @param {Float32Array} first @param {Float32Array} second */
function correlation(first, second) {
  return first.reduce((sum, value, place) => sum + value * (second[place] ?? 0), 0);
}
