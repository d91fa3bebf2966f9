/** The web worker that runs the detector, one check at a time; speaks the messages of `shared/messages.js`. */

import { AsyncQueue, FRAMES_TIMEOUT_MS } from "../shared/async-queue.js";
import { chooseBackend } from "./backend-choice.js";
import { rgbaToRgb, rgbToRgba } from "./image-ops.js";
import { loadWasmRuntime, openGpuNetwork, readFile, requestAdapter } from "./onnx-runtime.js";
import { checkFrames } from "./pipeline.js";

/**
 * @import { RgbImage } from "./image-ops.js"
 * @import { Detector } from "./pipeline.js"
 * @import { DetectorReply, DetectorRequest } from "../shared/messages.js"
 */

/** @type {Promise<Detector> | undefined} loaded at the first check */
let detector;

/** @type {AsyncQueue<import("../shared/messages.js").Frame[]>} of the check under way */
let windows;

self.addEventListener("message", (/** @type {MessageEvent<DetectorRequest>} */ { data }) => {
  if (data.type === "check") void run(data.pageUrl, data.title);
  else if (data.frames) windows.push(data.frames);
  else windows.end();
});

/** @param {DetectorReply} reply */
function post(reply) {
  self.postMessage(reply);
}

/** @param {string} pageUrl @param {string} title */
async function run(pageUrl, title) {
  windows = new AsyncQueue({ timeoutMs: FRAMES_TIMEOUT_MS });
  const onProgress = (/** @type {string} */ stage, /** @type {number} */ fraction) =>
    post({ type: "progress", stage, fraction });
  try {
    detector ??= loadDetector();
    post({ type: "report", report: await checkFrames({ windows, pageUrl, title }, await detector, onProgress) });
  } catch (error) {
    post({ type: "error", message: String(error) });
  }
}

/** @returns {Promise<Detector>} */
async function loadDetector() {
  const open = await loadWasmRuntime();
  const networks = Promise.all(["model", "heat", "pnet", "rnet", "onet"].map(open));
  const config = JSON.parse(new TextDecoder().decode(await readFile("models/config.json")));
  const projection = new Float32Array(await readFile("models/appearance.bin"));
  const [wasm, heat, pnet, rnet, onet] = /** @type {import("./face-detector.js").Network[]} */ (await networks);
  if (!wasm || !heat || !pnet || !rnet || !onet) throw new Error("unreachable");
  const { frames_per_clip, side_px } = config.clip;
  const gpu = { requestAdapter, open: () => openGpuNetwork("model") };
  const model = await chooseBackend(wasm, gpu, [frames_per_clip, 3, side_px, side_px]);
  return { config, networks: { model, heat, pnet, rnet, onet }, projection, decode: decodeJpeg, encode: encodeJpeg };
}

/** @param {string} jpeg base64 @returns {Promise<RgbImage>} */
async function decodeJpeg(jpeg) {
  const text = atob(jpeg);
  const bytes = new Uint8Array(text.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = text.charCodeAt(place);
  const blob = new Blob([bytes], { type: "image/jpeg" });
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const context = createContext(bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return rgbaToRgb(context.getImageData(0, 0, context.canvas.width, context.canvas.height));
}

/** @param {RgbImage} image @param {number} quality 0..1 @returns {Promise<string>} base64 */
async function encodeJpeg(image, quality) {
  const context = createContext(image.width, image.height);
  const pixels = context.createImageData(image.width, image.height);
  rgbToRgba(image, pixels.data);
  context.putImageData(pixels, 0, 0);
  const blob = await context.canvas.convertToBlob({ type: "image/jpeg", quality });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** @param {number} width @param {number} height @returns {OffscreenCanvasRenderingContext2D} */
function createContext(width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  return context;
}
