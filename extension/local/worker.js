/**
 * Runs checks off every page's thread: networks by ONNX Runtime on WebAssembly, pictures by the browser's codec.
 * Hears what is asked, then its windows of pictures and null, one check at a time; says {stage, fraction} and then the report or {problem}.
 */

import { check } from "./detector.js";
import { Windows } from "../windows.js";
import { withAlpha, withoutAlpha } from "./pixels.js";

/**
 * @typedef {import("./detector.js").Kit} Kit
 * @typedef {import("./faces.js").Tensor} Tensor
 * @typedef {{run: (feeds: Record<string, unknown>) => Promise<Record<string, Tensor>>}} Session
 *
 * @typedef {object} Runtime the part of onnxruntime-web that is used
 * @property {{wasm: {numThreads: number, wasmPaths: {mjs: string, wasm: string}}, logLevel: string}} env
 * @property {{create: (model: Uint8Array, options: object) => Promise<Session>}} InferenceSession
 * @property {new (type: "float32", data: Float32Array, dims: number[]) => unknown} Tensor
 */

const MOST_THREADS = 4; // more gain little on networks this small

const here = (/** @type {string} */ path) => new URL(`../${path}`, import.meta.url).href;

/** @type {Promise<Kit> | undefined} loaded at the first check */
let kit;

let windows = new Windows(); // of the check under way

self.addEventListener("message", ({ data }) => {
  if ("frames" in data) return windows.take(data.frames);
  windows = new Windows();
  void answer({ ...data, windows });
});

/** @param {import("./detector.js").Asked} asked */
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
  /** @type {Runtime} */
  const runtime = await import(/** @type {string} */ ("../vendor/ort.wasm.min.mjs"));
  runtime.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1; // Firefox isolates no extension
  runtime.env.wasm.wasmPaths = { mjs: here("vendor/ort-wasm-simd-threaded.mjs"), wasm: here("vendor/ort-wasm-simd-threaded.wasm") };
  runtime.env.logLevel = "error";
  const [config, model, heat, pnet, rnet, onet] = await Promise.all([read("config.json").then((file) => file.json()), open("model"), open("heat"), open("pnet"), open("rnet"), open("onet")]);
  return { config, networks: { model, heat, pnet, rnet, onet }, decode, encode };

  /** @param {string} name @returns {Promise<import("./faces.js").Network>} */
  async function open(name) {
    const bytes = new Uint8Array(await (await read(`${name}.onnx`)).arrayBuffer());
    const session = await runtime.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    return (data, shape) => session.run({ data: new runtime.Tensor("float32", data, shape) });
  }
}

/** @param {string} name */
function read(name) {
  return fetch(here(`models/${name}`));
}

/** @param {string} jpeg base64 @returns {Promise<import("./pixels.js").Picture>} */
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

/** @param {import("./pixels.js").Picture} picture @param {number} quality @returns {Promise<string>} base64 */
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
