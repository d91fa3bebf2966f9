/**
 * What a video in a player looks like: its length, its shape, and the brightness of a few pictures, by cell. A
 * remembered report is shown only where all of it is the same, as an address says little about what a player shows:
 * two players share a page, and the next clip comes in the same one. A deepfake differs from the video it was made of
 * in a few cells only, so the cells are many and the tolerance is small; where it is not sure, nothing is remembered.
 *
 * @import { Fingerprint, Picture, Shape } from "../shared/messages.js"
 *
 * @typedef {{seconds: number, luma: Uint8Array}} LumaPicture
 */

import { HeldPlayer, lengthOf } from "./player-state.js";

const CELLS = 48; // a side
const PICTURES = 4;
const MIN_PICTURES = 3; // with contrast; one where the address stands for the video
const MIN_CONTRAST = 24; // of 255: a black or plain picture is that of any video
const MAX_DIFFERENCE = 3; // of 255, in any cell; the same frame decoded again has none
const SAME_FRAME_SECONDS = 0.001;
const APPENDED_SECONDS = 1; // after the end that a stream had; players correct its length a little
const LATE_SECONDS = 0.2; // by which a player may have gone on before its picture is read
const OTHER_DIFFERENCE = 16; // of 255, in some cell: more than between two qualities of a stream
const OTHER_DIFFERENCE_LATE = 64; // more than between two frames that follow each other

/**
 * Measure a video in its player.
 * @param {HTMLVideoElement} video
 * @returns {Shape | null} null where it is not known, or has no end
 */
export function shapeOf(video) {
  const { videoWidth, videoHeight } = video;
  const duration = lengthOf(video);
  if (!(duration > 0 && duration < Infinity) || !videoWidth || !videoHeight) return null;
  return { duration, aspect: videoWidth / videoHeight };
}

/**
 * Compute the brightness of a picture.
 * @param {CanvasImageSource} picture
 * @returns {Uint8Array} (CELLS, CELLS), by row
 */
export function lumaOf(picture) {
  const half = (/** @type {CanvasImageSource} */ from, /** @type {number} */ side) => {
    const context = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
    context?.drawImage(from, 0, 0, side, side);
    return context;
  };
  let context = half(picture, 4 * CELLS); // halved twice, which averages
  for (const side of [2 * CELLS, CELLS]) context &&= half(context.canvas, side);
  const rgba = context?.getImageData(0, 0, CELLS, CELLS).data;
  const lumaAt = (/** @type {number} */ place) =>
    0.299 * (rgba?.[place] ?? 0) + 0.587 * (rgba?.[place + 1] ?? 0) + 0.114 * (rgba?.[place + 2] ?? 0);
  return Uint8Array.from({ length: CELLS * CELLS }, (_, cell) => lumaAt(4 * cell));
}

/**
 * Make the fingerprint of a video from what was captured of it, spread over the whole.
 * @param {Shape | null} shape
 * @param {string | null} url its own address, if it has one
 * @param {LumaPicture[]} captured
 * @returns {Fingerprint | null} null where it would not be recognised
 */
export function toFingerprint(shape, url, captured) {
  const last = captured.length - 1;
  const places = Array.from({ length: PICTURES }, (_, place) => Math.round((place * last) / (PICTURES - 1)));
  const chosen = [...new Set(places)].flatMap((place) => captured[place] ?? []);
  const pictures = chosen.map(({ seconds, luma }) => ({ seconds, luma: btoa(String.fromCharCode(...luma)) }));
  return shape && captured.length > 0 ? { ...shape, url, pictures } : null;
}

/**
 * Make the fingerprint of a video from what its player shows now.
 * @param {HTMLVideoElement} video
 * @param {string | null} url its own address, if it has one
 */
export function glance(video, url) {
  if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || !isReadable(video)) return null;
  return toFingerprint(shapeOf(video), url, [{ seconds: video.currentTime, luma: lumaOf(video) }]);
}

/**
 * Look whether a player shows the video of a fingerprint; it is put back afterwards.
 * @param {HTMLVideoElement} video
 * @param {Fingerprint} fingerprint
 * @param {string | null} url its own address, if it has one
 */
export async function isSameVideo(video, fingerprint, url) {
  const telling = picturesOf(fingerprint).filter(hasContrast);
  const isKnown = url !== null && url === fingerprint.url;
  if (telling.length < (isKnown ? 1 : MIN_PICTURES) || !isReadable(video)) return false;
  const player = new HeldPlayer(video);
  try {
    for (const { seconds, luma } of telling) {
      const isThere = !video.seeking && Math.abs(video.currentTime - seconds) <= SAME_FRAME_SECONDS;
      if (!isThere && (await player.seek(seconds + SAME_FRAME_SECONDS)) === null) return false;
      if (!isSamePicture(lumaOf(video), luma)) return false;
    }
    return true;
  } finally {
    player.release();
  }
}

/**
 * Tell whether two pictures are the same in every cell.
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 * @param {number} [tolerance]
 */
export function isSamePicture(a, b, tolerance = MAX_DIFFERENCE) {
  return a.length === b.length && a.every((value, cell) => Math.abs(value - (b[cell] ?? 0)) <= tolerance);
}

/**
 * Tell whether pictures show the place that a video has left, as Firefox draws it where its own picture in picture
 * floats, of which no program is told: the same all the time, with an even edge.
 * @param {Uint8Array[]} lumas
 */
export function isEmptyPlace(lumas) {
  const [first = new Uint8Array()] = lumas;
  const fromEdge = (/** @type {number} */ place) => Math.min(place, CELLS - 1 - place);
  const edge = first.filter((_, cell) => Math.min(fromEdge(cell % CELLS), fromEdge(Math.floor(cell / CELLS))) === 1);
  const isEven = Math.max(...edge) - Math.min(...edge) <= MAX_DIFFERENCE;
  return isEven && lumas.length > 1 && lumas.every((luma) => isSamePicture(luma, first));
}

/** Get the pictures of a fingerprint. @param {Fingerprint} fingerprint @returns {LumaPicture[]} */
export function picturesOf({ pictures }) {
  return pictures.map(({ seconds, luma }) => ({ seconds, luma: decode(luma) }));
}

/**
 * Watch whether a player goes on showing the video that these pictures are of, wherever it shows one of their moments:
 * no event tells that the next clip comes in the same MediaSource.
 * @param {HTMLVideoElement} video
 * @param {LumaPicture[]} pictures
 * @param {number} length seconds that it had: what is shown later was appended
 * @param {() => void} onOther
 * @param {AbortSignal} signal
 */
export function watchPictures(video, pictures, length, onOther, signal) {
  const isOther = (/** @type {number} */ time) => {
    if (time > length + APPENDED_SECONDS) return true;
    const ahead = pictures.map(({ seconds, luma }) => ({ luma, by: seconds - time }));
    const near = ahead.filter(({ by }) => by >= -SAME_FRAME_SECONDS && by < LATE_SECONDS);
    if (!near.some(({ by }) => by <= SAME_FRAME_SECONDS) || !isReadable(video)) return false;
    const shown = lumaOf(video);
    const tolerance = video.paused || near.length > 2 ? OTHER_DIFFERENCE : OTHER_DIFFERENCE_LATE;
    return !near.some(({ luma }) => isSamePicture(shown, luma, tolerance));
  };
  const look = () =>
    video.requestVideoFrameCallback((_, { mediaTime }) => {
      if (signal.aborted) return;
      if (isOther(mediaTime)) onOther();
      else look();
    });
  look();
}

/** Tell whether the page may read its own video. @param {HTMLVideoElement} video */
export function isReadable(video) {
  try {
    const context = new OffscreenCanvas(4, 4).getContext("2d");
    context?.drawImage(video, 0, 0, 4, 4);
    context?.getImageData(0, 0, 1, 1);
    return true;
  } catch {
    return false;
  }
}

/** @param {{luma: Uint8Array}} picture */
function hasContrast({ luma }) {
  return Math.max(...luma) - Math.min(...luma) >= MIN_CONTRAST;
}

/** @param {string} luma base64 */
function decode(luma) {
  return Uint8Array.from(atob(luma), (letter) => letter.charCodeAt(0));
}
