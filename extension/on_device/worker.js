/**
 * Runs checks off every page's thread: networks by ONNX Runtime, pictures by the browser's codec.
 * Hears what is asked, then its windows of pictures and null, one check at a time; says {stage, fraction} and then the report or {problem}.
 */

import { check } from "./pipeline.js";
import { Windows } from "../shared/frame-stream.js";
import { findGpu, onGpu, onWasm, read } from "./onnx-runtime.js";
import { withAlpha, withoutAlpha } from "./image-ops.js";
import { choose } from "./backend-choice.js";

/** @typedef {import("./pipeline.js").Kit} Kit */

/** @type {Promise<Kit> | undefined} loaded at the first check */
let kit;

let windows = new Windows(); // of the check under way

self.addEventListener("message", ({ data }) => {
  if ("frames" in data) return windows.take(data.frames);
  windows = new Windows();
  void answer({ ...data, windows });
});

/** @param {import("./pipeline.js").Asked} asked */
async function answer(asked) {
  try {
    kit ??= load();
    self.postMessage({ report: await check(asked, await kit, (stage, fraction) => self.postMessage({ stage, fraction })) });
  } catch (error) {
    self.postMessage({ problem: String(error) });
  }
}

/** @returns {Promise<Kit>} */
async function load() {
  const open = await onWasm();
  const [config, wasm, heat, pnet, rnet, onet] = await Promise.all([read("config.json").then((file) => file.json()), open("model"), open("heat"), open("pnet"), open("rnet"), open("onet")]);
  const { frames_per_clip, side_px } = config.clip;
  const model = await choose(wasm, { find: findGpu, open: () => onGpu("model") }, [frames_per_clip, 3, side_px, side_px]);
  return { config, networks: { model, heat, pnet, rnet, onet }, decode, encode };
}

/** @param {string} jpeg base64 @returns {Promise<import("./image-ops.js").Picture>} */
async function decode(jpeg) {
  const text = atob(jpeg);
  const bytes = new Uint8Array(text.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = text.charCodeAt(place);
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }), { colorSpaceConversion: "none" });
  const context = contextOf(bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return withoutAlpha(context.getImageData(0, 0, context.canvas.width, context.canvas.height));
}

/** @param {import("./image-ops.js").Picture} picture @param {number} quality @returns {Promise<string>} base64 */
async function encode(picture, quality) {
  const context = contextOf(picture.width, picture.height);
  const image = context.createImageData(picture.width, picture.height);
  withAlpha(picture, image.data);
  context.putImageData(image, 0, 0);
  const blob = await context.canvas.convertToBlob({ type: "image/jpeg", quality });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** @param {number} width @param {number} height @returns {OffscreenCanvasRenderingContext2D} */
function contextOf(width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  return context;
}
