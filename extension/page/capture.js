/**
 * Frames captured from the player, for videos that only this browser may see: through a canvas or, where the page
 * may not read its own video, from the visible tab. See player-state.js for how it is put back.
 *
 * @import { Frame, TabBox } from "../shared/messages.js"
 * @typedef {(fraction: number) => void} OnProgress
 * @typedef {() => Promise<{picture: string, box: TabBox}>} CaptureTab -> a JPEG data URL of the visible tab without the
 *   overlay, and where the video lies in it
 *
 * @typedef {object} Plan how much is captured
 * @property {number} windows
 * @property {number} framesPerWindow
 * @property {number} strideSeconds from one frame of a window to the next
 *
 * @typedef {object} CapturedFrame
 * @property {Frame} frame
 * @property {Uint8Array} luma see fingerprint.js
 * @property {boolean} [isPassing] the player went on meanwhile: the picture may be a later one than its time says
 *
 * @typedef {object} FrameSource
 * @property {Plan} plan
 * @property {(seconds: number) => Promise<CapturedFrame>} capture
 * @property {boolean} isInstant the picture is taken before `capture` returns its promise: also of what moves
 */

import constants from "../shared/constants.js";
import { toBlob } from "../shared/dom.js";
import { CheckError } from "../shared/errors.js";
import { isEmptyPlace, isReadable, lumaOf } from "./fingerprint.js";
import { canSeek, HeldPlayer, isSameSource, nextPaint, sourceOf, wait } from "./player-state.js";
import { parentOf } from "./video-elements.js";

const { WINDOWS, FRAMES_PER_WINDOW: framesPerWindow, FRAME_STRIDE_SECONDS: strideSeconds } = constants.sampling;
const MAX_SIDE_PX = 1280;
const JPEG_QUALITY = 0.95;
const SLOW_SEEK_MS = 250; // a slower seek means that key frames are rare: a window is played through instead
const PLAY_TIMEOUT_MS = 8000; // for a window that is played through
const UNDONE_SECONDS = 2; // a page that puts its player back so far lets no one skip
const TOLERANCE = 0.2; // of a stride: so much earlier a frame will do
const BLACK_LEVEL = 10; // of 255; protected video is black to programs
const MIN_FRAMES = 4;
const MIN_BOX_PX = 32; // less of a video in view is useless

/** @type {Plan} as of a Space */
export const CANVAS_PLAN = { windows: WINDOWS, framesPerWindow, strideSeconds };
/** @type {Plan} fewer, because each frame takes half a second */
export const TAB_PLAN = { windows: 4, framesPerWindow, strideSeconds };

/**
 * Plan the times of the frames: windows spread over the whole, as `video/sampling.py` does it. The first window is at
 * the start, the last up to the end; a video too short for all is covered by fewer, the last perhaps cut short.
 * @param {number} duration seconds
 * @param {Plan} plan
 * @returns {number[]} rising
 */
export function planSeconds(duration, { windows, framesPerWindow, strideSeconds }) {
  const length = framesPerWindow * strideSeconds;
  const isShort = duration < windows * length;
  const count = isShort ? Math.max(1, Math.round(duration / length)) : windows;
  const step = isShort ? length : (duration - length) / Math.max(1, windows - 1);
  const starts = Array.from({ length: count }, (_, i) => i * step);
  const all = starts.flatMap((start) => Array.from({ length: framesPerWindow }, (_, i) => start + i * strideSeconds));
  return all.filter((seconds) => seconds < duration);
}

/**
 * Capture windows of frames.
 * @param {HTMLVideoElement} video
 * @param {CaptureTab} captureTab
 * @param {OnProgress} onProgress
 * @param {AbortSignal} signal
 * @param {boolean} mayDisturb false: what plays is watched, and not held still
 * @returns {AsyncGenerator<CapturedFrame[]>}
 * @throws {CheckError} when there is too little to see
 */
export async function* captureWindows(video, captureTab, onProgress, signal, mayDisturb) {
  const player = mayDisturb ? new HeldPlayer(video) : null;
  let [count, isBlack] = [0, true];
  /** @type {Uint8Array[]} */
  const lumas = [];
  try {
    await player?.load();
    const source = isReadable(video) ? canvasSource(video) : tabSource(captureTab);
    let playing = sourceOf(video);
    const planned = canSeek(video) ? planSeconds(video.duration, source.plan).length : source.plan.framesPerWindow;
    const windows =
      player && canSeek(video)
        ? captureBySeeking(player, source, onProgress, signal)
        : captureWhilePlaying(video, player, source, onProgress, signal);
    for await (const captured of windows) {
      const before = playing;
      playing = sourceOf(video); // a length that grows while it is loaded grows from there
      if (signal.aborted || !isSameSource(before, playing)) throw new CheckError("capture_stopped");
      count += captured.length;
      lumas.push(...captured.map(({ luma }) => luma));
      isBlack &&= captured.every(({ luma }) => luma.every((value) => value <= BLACK_LEVEL));
      if (isBlack && video.mediaKeys) throw new CheckError("capture_black");
      const mayFloat = !source.isInstant && "openOrClosedShadowRoot" in video; // in Firefox
      if (mayFloat && lumas.length > captured.length && isEmptyPlace(lumas)) throw new CheckError("capture_floating");
      yield captured;
    }
    if (count < Math.min(MIN_FRAMES, planned)) throw new CheckError("capture_stopped");
    if (isBlack) throw new CheckError("capture_black");
  } finally {
    player?.release();
  }
}

/**
 * @param {HeldPlayer} player
 * @param {FrameSource} source
 * @param {OnProgress} onProgress
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<CapturedFrame[]>}
 */
async function* captureBySeeking(player, source, onProgress, signal) {
  const { video, before } = player;
  const first = (await firstSeconds(player)) ?? NaN;
  const times = first >= 0 ? planSeconds(video.duration - first, source.plan).map((seconds) => first + seconds) : [NaN];
  for (let place = 0; place < times.length; place += source.plan.framesPerWindow) {
    const window = times.slice(place, place + source.plan.framesPerWindow);
    const onCount = (/** @type {number} */ count) => onProgress((place + count) / times.length);
    const captured = first >= 0 ? await captureWindow(player, window, source, onCount, signal) : null;
    const isStuck = captured === null && video.seeking;
    if (isStuck && place > 0) return; // a part is named as one
    if (isStuck) await player.seek(before.currentTime); // where a live stream has pictures
    if (captured === null) return yield* captureWhilePlaying(video, player, source, onProgress, signal);
    yield captured;
  }
}

/**
 * Find when the first frame is shown: of a recording whose pictures begin after its sound, the player shows it before.
 * @param {HeldPlayer} player
 * @returns {Promise<number | null>} null: it is stuck
 */
async function firstSeconds(player) {
  const first = await player.seek(0);
  if (first === null) return null;
  const isLate = first > strideSeconds && player.video.currentTime < strideSeconds;
  return isLate && (await player.seek(first / 2)) === first ? first : 0;
}

/**
 * @param {HeldPlayer} player
 * @param {number[]} times
 * @param {FrameSource} source
 * @param {(count: number) => void} onCount
 * @param {AbortSignal} signal
 * @returns {Promise<CapturedFrame[] | null>} null: it is stuck, or the page does not let its video be sought
 */
async function captureWindow(player, times, { plan, capture, isInstant }, onCount, signal) {
  /** @type {Promise<CapturedFrame>[]} encoded while the player seeks the next */
  const frames = [];
  for (const seconds of times) {
    if (signal.aborted) throw new CheckError("capture_stopped");
    const started = performance.now();
    const shown = await player.seek(seconds);
    if (shown === null || Math.abs(player.video.currentTime - seconds) > UNDONE_SECONDS) return null;
    frames.push(capture(shown));
    if (!isInstant) await frames.at(-1);
    const isSlow = isInstant && frames.length === 1 && performance.now() - started > SLOW_SEEK_MS;
    if (isSlow) frames.push(...(await playThrough(player, plan, capture, shown, signal)));
    onCount(isSlow ? times.length : frames.length);
    if (isSlow) break;
  }
  return Promise.all(frames);
}

/**
 * Capture the rest of a window as it plays, for a video in which every seek decodes from far before it.
 * @param {HeldPlayer} player
 * @param {Plan} plan
 * @param {FrameSource["capture"]} capture
 * @param {number} from seconds of the window's first frame, which is captured already
 * @param {AbortSignal} signal
 */
async function playThrough(player, { framesPerWindow, strideSeconds }, capture, from, signal) {
  const { video } = player;
  const deadline = performance.now() + PLAY_TIMEOUT_MS;
  /** @type {Promise<CapturedFrame>[]} */
  const frames = [];
  let last = from;
  await player.play();
  while (frames.length < framesPerWindow - 1 && performance.now() < deadline && !video.ended && !signal.aborted) {
    const now = await nextPaint(video);
    if (now - from > framesPerWindow * strideSeconds) break; // a machine that drops frames captures fewer
    if (now - last < (1 - TOLERANCE) * strideSeconds) continue;
    last = now;
    frames.push(capture(now).then((captured) => ({ ...captured, isPassing: true })));
  }
  player.still();
  return frames;
}

/**
 * Capture what a stream that cannot seek shows for a while.
 * @param {HTMLVideoElement} video
 * @param {HeldPlayer | null} player null: it is only watched
 * @param {FrameSource} source
 * @param {OnProgress} onProgress
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<CapturedFrame[]>}
 */
async function* captureWhilePlaying(video, player, { plan, capture }, onProgress, signal) {
  await player?.play();
  const count = plan.windows * plan.framesPerWindow;
  /** @type {CapturedFrame[]} */
  const window = [];
  let last = NaN;
  for (let place = 0; place < count; place++) {
    if (signal.aborted) throw new CheckError("capture_stopped");
    await wait(1000 * plan.strideSeconds);
    const captured = await capture(video.currentTime);
    if (captured.frame.seconds !== last) window.push({ ...captured, isPassing: true });
    last = captured.frame.seconds;
    onProgress((place + 1) / count);
    if (window.length === plan.framesPerWindow) yield window.splice(0);
  }
  if (window.length) yield window;
}

// --- sources of frames

/** @param {HTMLVideoElement} video @returns {FrameSource} */
function canvasSource(video) {
  const quarters = quarterTurns(video);
  const capture = async (/** @type {number} */ seconds) => {
    const scale = Math.min(1, MAX_SIDE_PX / Math.max(video.videoWidth, video.videoHeight, 1));
    const size = /** @type {const} */ ([Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)]);
    const captured = await toCapturedFrame(draw(video, ...size, quarters), seconds, lumaOf(video));
    return isHdr(video) ? { ...captured, frame: { ...captured.frame, hdr: true } } : captured;
  };
  return { plan: CANVAS_PLAN, capture, isInstant: true };
}

/** @param {CaptureTab} captureTab @returns {FrameSource} */
function tabSource(captureTab) {
  const capture = async (/** @type {number} */ seconds) => {
    const { picture, box } = await captureTab();
    const canvas = cropTo(box, await createImageBitmap(toBlob(picture)));
    return toCapturedFrame(canvas, seconds, lumaOf(canvas));
  };
  return { plan: TAB_PLAN, capture, isInstant: false };
}

/** @param {TabBox} box @param {ImageBitmap} tab */
function cropTo({ left, top, width, height, tabWidth }, tab) {
  if (width < MIN_BOX_PX || height < MIN_BOX_PX) throw new CheckError("capture_stopped");
  const scale = tab.width / tabWidth;
  const canvas = new OffscreenCanvas(Math.round(width * scale), Math.round(height * scale));
  const from = /** @type {const} */ ([left * scale, top * scale, width * scale, height * scale]);
  canvas.getContext("2d")?.drawImage(tab, ...from, 0, 0, canvas.width, canvas.height);
  tab.close();
  return canvas;
}

/**
 * Find by how many quarter turns the styles of a page turn a video, whose frames may lie on their side in the file.
 * @param {HTMLVideoElement} video
 * @returns {number} clockwise; a video that is also mirrored is not mirrored back
 */
export function quarterTurns(video) {
  let matrix = new DOMMatrix();
  for (let at = /** @type {Element | null} */ (video); at; at = parentOf(at)) {
    const { rotate, scale, transform } = getComputedStyle(at);
    const [x = 1, y = x] = scale === "none" ? [] : scale.split(" ").map(Number);
    const turned = new DOMMatrix().rotate(parseFloat(rotate) || 0).scale(x, y);
    matrix = turned.multiply(new DOMMatrix(transform)).multiply(matrix);
  }
  const { a, b, c, d } = matrix;
  const side = Math.sign(a * d - b * c);
  return Math.round(Math.atan2(b * side, a * side) / (Math.PI / 2));
}

/** @param {HTMLVideoElement} video @param {number} width @param {number} height @param {number} quarters clockwise */
function draw(video, width, height, quarters) {
  const [across, down] = quarters % 2 === 0 ? [width, height] : [height, width];
  const canvas = new OffscreenCanvas(Math.max(1, across), Math.max(1, down));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context?.translate(across / 2, down / 2);
  context?.rotate((quarters * Math.PI) / 2);
  context?.drawImage(video, -width / 2, -height / 2, width, height);
  return canvas;
}

/**
 * Tell whether a video is HDR, which a canvas draws as SDR; where the browser does not say, it is none.
 * @param {HTMLVideoElement} video
 */
function isHdr(video) {
  try {
    const frame = new VideoFrame(video);
    const { transfer } = frame.colorSpace;
    frame.close();
    return ["hlg", "pq"].includes(String(transfer));
  } catch {
    return false;
  }
}

/**
 * @param {OffscreenCanvas} canvas
 * @param {number} seconds
 * @param {Uint8Array} luma
 * @returns {Promise<CapturedFrame>}
 */
async function toCapturedFrame(canvas, seconds, luma) {
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
  return { frame: { seconds, jpeg: await toBase64(blob) }, luma };
}

/**
 * Encode by a reader: Firefox lets no content script take bytes out of a buffer of the page's.
 * @param {Blob} blob
 * @returns {Promise<string>}
 */
async function toBase64(blob) {
  const reader = new FileReader();
  const loaded = once(reader, "loadend");
  reader.readAsDataURL(blob);
  await loaded;
  return String(reader.result).split(",")[1] ?? "";
}

/** @param {EventTarget} target @param {string} type */
function once(target, type) {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
}
