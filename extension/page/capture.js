/**
 * Frames from the player itself, for videos that only this browser may see: through a canvas, or, where the page
 * may not read its own video, from the visible tab. A planned sample of windows, as the Space would take.
 * Position, volume and play state are put back afterwards, whatever happens.
 *
 * @typedef {{seconds: number, jpeg: string}} Frame
 * @typedef {(fraction: number) => void} OnProgress
 * @typedef {(frames: Frame[]) => void} OnWindow pictures that belong together
 * @typedef {() => Promise<string>} Screen a JPEG data URL of the visible tab, without anything of ours in it
 *
 * @typedef {object} Plan how much is looked at
 * @property {number} windows
 * @property {number} framesPerWindow
 * @property {number} strideSeconds from one frame of a window to the next
 */

const MAX_SIDE_PX = 1280;
const JPEG_QUALITY = 0.95;
const SEEK_MS = 15_000; // a player that needs longer to show a moment is stuck
const SLOW_SEEK_MS = 250; // where a moment takes longer, key frames are rare: a window is played through instead
const WINDOW_MS = 8000; // longest time for that
const TOLERANCE = 0.2; // of a stride: so much earlier a frame will do
const PAINT_MS = 250; // a video out of view may never be painted
const BLACK = 10; // of 255; protected video is shown to programs as black
const MIN_FRAMES = 4;
const MIN_BOX_PX = 32; // less of a video in view is as good as nothing

/** @type {Plan} as unmask/video.py */
export const CANVAS_PLAN = { windows: 8, framesPerWindow: 8, strideSeconds: 0.12 };
/** @type {Plan} fewer, because each takes half a second */
export const SCREEN_PLAN = { windows: 4, framesPerWindow: 8, strideSeconds: 0.12 };

export class CaptureError extends Error {
  /** @param {"capture_black" | "capture_blocked" | "capture_stopped"} code */
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/**
 * Times to look at: windows spread over the whole, as `spread` of unmask/plan.py does it. The first is at the
 * start and the last up to the end; a video too short for all is covered by fewer, the last perhaps cut short.
 *
 * @param {number} duration seconds
 * @param {Plan} plan
 * @returns {number[]} rising
 */
export function planSeconds(duration, { windows, framesPerWindow, strideSeconds }) {
  const length = framesPerWindow * strideSeconds;
  const isShort = duration < windows * length;
  const fitting = isShort ? Math.max(1, Math.round(duration / length)) : windows;
  const step = isShort ? length : (duration - length) / Math.max(1, windows - 1);
  const starts = Array.from({ length: fitting }, (_, i) => i * step);
  const all = starts.flatMap((start) => Array.from({ length: framesPerWindow }, (_, i) => start + i * strideSeconds));
  return all.filter((seconds) => seconds < duration);
}

/**
 * @param {HTMLVideoElement} video
 * @param {Screen} screen
 * @param {{onProgress: OnProgress, onWindow: OnWindow}} tell
 * @param {AbortSignal} signal
 * @param {boolean} [mayDisturb] nobody asked: what plays is watched, and neither wound nor muted
 * @returns {Promise<void>} when all were told. Raises CaptureError.
 */
export async function capture(video, screen, { onProgress, onWindow }, signal, mayDisturb = true) {
  const way = isReadable(video) ? fromElement(video) : fromScreen(video, screen);
  const restore = mayDisturb ? remember(video) : () => {};
  try {
    /** @type {Taken[]} */
    const frames = [];
    const windows = mayDisturb && canSeek(video) ? bySeeking(video, way, onProgress, signal) : whilePlaying(video, way, onProgress, signal, mayDisturb);
    for await (const taken of windows) {
      frames.push(...taken);
      onWindow(taken.map(({ seconds, jpeg }) => ({ seconds, jpeg })));
    }
    if (frames.length < Math.min(MIN_FRAMES, way.plan.framesPerWindow)) throw new CaptureError("capture_stopped");
    if (frames.every((frame) => frame.black)) throw new CaptureError("capture_black");
  } finally {
    restore();
  }
}

/**
 * @typedef {Frame & {black: boolean}} Taken
 * @typedef {object} Way
 * @property {Plan} plan
 * @property {(seconds: number) => Promise<Taken>} take
 * @property {boolean} isInstant the picture is taken when `take` returns, though it is not packed yet: also of what moves
 */

/** Not a live stream. @param {HTMLVideoElement} video */
export function canSeek(video) {
  return Number.isFinite(video.duration) && video.duration > 0 && video.seekable.length > 0 && video.seekable.end(video.seekable.length - 1) > 0;
}

/** @param {HTMLVideoElement} video @param {Way} way @param {OnProgress} onProgress @param {AbortSignal} signal @returns {AsyncGenerator<Taken[]>} */
async function* bySeeking(video, way, onProgress, signal) {
  video.pause();
  const times = planSeconds(video.duration, way.plan);
  for (let place = 0; place < times.length; place += way.plan.framesPerWindow) {
    const window = times.slice(place, place + way.plan.framesPerWindow);
    yield await seekWindow(video, window, way, (count) => onProgress((place + count) / times.length), signal);
  }
}

/** @param {HTMLVideoElement} video @param {number[]} times @param {Way} way @param {(count: number) => void} onProgress @param {AbortSignal} signal @returns {Promise<Taken[]>} */
async function seekWindow(video, times, { plan, take, isInstant }, onProgress, signal) {
  /** @type {Promise<Taken>[]} packed while the next moment is sought */
  const frames = [];
  for (const seconds of times) {
    if (signal.aborted) throw new CaptureError("capture_stopped");
    const begun = performance.now();
    const shown = await show(video, seconds);
    frames.push(take(shown));
    if (!isInstant) await frames.at(-1);
    const isSlow = isInstant && frames.length === 1 && performance.now() - begun > SLOW_SEEK_MS;
    if (isSlow) frames.push(...(await playThrough(video, plan, take, shown, signal)));
    onProgress(isSlow ? times.length : frames.length);
    if (isSlow) break;
  }
  return Promise.all(frames);
}

/**
 * The rest of a window as it plays, for a video in which each moment must be decoded from far before it.
 *
 * @param {HTMLVideoElement} video @param {Plan} plan @param {Way["take"]} take
 * @param {number} from seconds of the window's first frame, which is taken already
 * @param {AbortSignal} signal
 */
async function playThrough(video, { framesPerWindow, strideSeconds }, take, from, signal) {
  const deadline = performance.now() + WINDOW_MS;
  /** @type {Promise<Taken>[]} */
  const frames = [];
  let last = from;
  await video.play().catch(() => {});
  while (frames.length < framesPerWindow - 1 && performance.now() < deadline && !video.ended && !signal.aborted) {
    const now = await nextPaint(video);
    if (now - from > framesPerWindow * strideSeconds) break; // a machine that drops pictures takes fewer
    if (now - last < (1 - TOLERANCE) * strideSeconds) continue;
    last = now;
    frames.push(take(now));
  }
  video.pause();
  return frames;
}

/** The time of the next picture that is shown. @param {HTMLVideoElement} video @returns {Promise<number>} */
function paint(video) {
  return new Promise((resolve) => video.requestVideoFrameCallback((_, { mediaTime }) => resolve(mediaTime)));
}

/** The same, or where the player is when nothing of it is painted. @param {HTMLVideoElement} video @returns {Promise<number>} */
function nextPaint(video) {
  return Promise.race([paint(video), wait(PAINT_MS).then(() => video.currentTime)]);
}

/** A stream that cannot be wound: what it shows for a while. @param {HTMLVideoElement} video @param {Way} way @param {OnProgress} onProgress @param {AbortSignal} signal @param {boolean} mayDisturb @returns {AsyncGenerator<Taken[]>} */
async function* whilePlaying(video, { plan, take }, onProgress, signal, mayDisturb) {
  if (mayDisturb) await video.play().catch(() => {});
  const count = plan.windows * plan.framesPerWindow;
  /** @type {Taken[]} */
  const window = [];
  let last = NaN;
  for (let place = 0; place < count; place++) {
    if (signal.aborted) throw new CaptureError("capture_stopped");
    await wait(1000 * plan.strideSeconds);
    const frame = await take(video.currentTime);
    if (frame.seconds !== last) window.push(frame);
    last = frame.seconds;
    onProgress((place + 1) / count);
    if (window.length === plan.framesPerWindow) yield window.splice(0);
  }
  if (window.length) yield window;
}

/**
 * Wind to a moment and wait until it is painted.
 *
 * @param {HTMLVideoElement} video
 * @param {number} seconds
 * @returns {Promise<number>} the true time of what is shown
 */
async function show(video, seconds) {
  const sought = once(video, "seeked");
  const painted = paint(video);
  video.currentTime = seconds;
  const inTime = await Promise.race([sought.then(() => true), wait(SEEK_MS).then(() => false)]);
  if (!inTime) throw new CaptureError("capture_stopped");
  return Promise.race([painted, wait(PAINT_MS).then(() => video.currentTime)]);
}

// --- two ways to take a picture

/** Whether the page may read its own video. @param {HTMLVideoElement} video */
function isReadable(video) {
  try {
    const probe = draw(video, 4, 4);
    probe.getContext("2d")?.getImageData(0, 0, 1, 1);
    return true;
  } catch {
    return false;
  }
}

/** @param {HTMLVideoElement} video @returns {Way} */
function fromElement(video) {
  /** @param {number} seconds */
  const take = async (seconds) => {
    const scale = Math.min(1, MAX_SIDE_PX / Math.max(video.videoWidth, video.videoHeight, 1));
    const canvas = draw(video, Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale));
    return toFrame(canvas, seconds);
  };
  return { plan: CANVAS_PLAN, take, isInstant: true };
}

/** @param {HTMLVideoElement} video @param {Screen} screen @returns {Way} */
function fromScreen(video, screen) {
  /** @param {number} seconds */
  const take = async (seconds) => {
    const tab = await createImageBitmap(toBlob(await screen()));
    return toFrame(cropTo(video, tab), seconds);
  };
  return { plan: SCREEN_PLAN, take, isInstant: false };
}

/** The part of a picture of the tab that shows the video. @param {HTMLVideoElement} video @param {ImageBitmap} tab */
function cropTo(video, tab) {
  const { left, top, right, bottom, tabWidth } = boxInTab(video);
  const [width, height] = [right - left, bottom - top];
  if (width < MIN_BOX_PX || height < MIN_BOX_PX) throw new CaptureError("capture_stopped");
  const scale = tab.width / tabWidth;
  const canvas = new OffscreenCanvas(Math.round(width * scale), Math.round(height * scale));
  canvas.getContext("2d")?.drawImage(tab, left * scale, top * scale, width * scale, height * scale, 0, 0, canvas.width, canvas.height);
  tab.close();
  return canvas;
}

/** What is seen of the video, px in the tab; the frames around it must be of the same site. @param {HTMLVideoElement} video */
function boxInTab(video) {
  /** @type {Window} */
  let view = window;
  let { left, top, right, bottom } = video.getBoundingClientRect();
  for (;;) {
    [left, top, right, bottom] = [Math.max(0, left), Math.max(0, top), Math.min(view.innerWidth, right), Math.min(view.innerHeight, bottom)];
    if (view === window.top) return { left, top, right, bottom, tabWidth: view.innerWidth };
    const frame = view.frameElement;
    if (!frame) throw new CaptureError("capture_blocked"); // another site's: where the frame lies is not known
    const around = frame.getBoundingClientRect();
    const [x, y] = [around.left + frame.clientLeft, around.top + frame.clientTop];
    [left, top, right, bottom, view] = [left + x, top + y, right + x, bottom + y, view.parent];
  }
}

/** @param {HTMLVideoElement} video @param {number} width @param {number} height */
function draw(video, width, height) {
  const canvas = new OffscreenCanvas(Math.max(1, width), Math.max(1, height));
  canvas.getContext("2d", { willReadFrequently: true })?.drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** @param {OffscreenCanvas} canvas @param {number} seconds @returns {Promise<Taken>} */
async function toFrame(canvas, seconds) {
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
  return { seconds, jpeg: await toBase64(blob), black: isBlack(canvas) };
}

/** @param {OffscreenCanvas} canvas */
function isBlack(canvas) {
  const small = new OffscreenCanvas(16, 16);
  const context = small.getContext("2d", { willReadFrequently: true });
  context?.drawImage(canvas, 0, 0, 16, 16);
  const pixels = context?.getImageData(0, 0, 16, 16).data ?? [];
  return pixels.every((value, place) => place % 4 === 3 || value <= BLACK);
}

/** By a reader: Firefox lets no content script take bytes out of a buffer of the page's. @param {Blob} blob @returns {Promise<string>} */
async function toBase64(blob) {
  const reader = new FileReader();
  const read = once(reader, "loadend");
  reader.readAsDataURL(blob);
  await read;
  return String(reader.result).split(",")[1] ?? "";
}

/** @param {string} dataUrl JPEG */
function toBlob(dataUrl) {
  const bytes = Uint8Array.from(atob(dataUrl.slice(dataUrl.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: "image/jpeg" });
}

// --- as it was before

/** @param {HTMLVideoElement} video @returns {() => void} puts everything back */
function remember(video) {
  const { currentTime, paused, muted, volume, playbackRate } = video;
  video.muted = true;
  return () => {
    if (canSeek(video)) video.currentTime = currentTime;
    Object.assign(video, { muted, volume, playbackRate });
    if (paused) video.pause();
    else void video.play().catch(() => {});
  };
}

/** @param {EventTarget} target @param {string} type */
function once(target, type) {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
}

/** @param {number} ms */
function wait(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
