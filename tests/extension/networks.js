/**
 * What the extension's detector says of the pictures in a folder, for test_detector.py: node networks.js FOLDER
 *
 * window.json {width, height, seconds, boxes: Python's, a list a frame}, pictures.rgb -> one JSON object on stdout.
 */

import { readFileSync } from "node:fs";

import { crop, toInput } from "../../extension/local/clips.js";
import { detect } from "../../extension/local/faces.js";

const EXTENSION = new URL("../../extension/", import.meta.url);
const folder = process.argv[2] ?? "";
const window = JSON.parse(readFileSync(`${folder}/window.json`, "utf8"));
const { clip: spec } = JSON.parse(readFileSync(new URL("models/config.json", EXTENSION), "utf8"));
const bytes = readFileSync(`${folder}/pictures.rgb`);
const size = 3 * window.width * window.height;
const pictures = window.seconds.map((/** @type {number} */ _, /** @type {number} */ place) => ({ width: window.width, height: window.height, data: new Uint8Array(bytes.subarray(place * size, (place + 1) * size)) }));

const runtime = await import(new URL("vendor/ort.wasm.min.mjs", EXTENSION).href);
runtime.env.wasm.numThreads = 1;
runtime.env.wasm.wasmBinary = readFileSync(new URL("vendor/ort-wasm-simd-threaded.wasm", EXTENSION));
runtime.env.wasm.wasmPaths = { mjs: new URL("vendor/ort-wasm-simd-threaded.mjs", EXTENSION).href };
const networks = { model: await open("model"), pnet: await open("pnet"), rnet: await open("rnet"), onet: await open("onet") };

const boxes = (await detect(pictures, networks)).map((some) => some.map(({ box }) => box));
const seen = window.boxes.map((/** @type {number[][]} */ some, /** @type {number} */ frame) => ({ frame, seconds: window.seconds[frame], box: some[0] }));
const clip = crop({ pictures, seconds: window.seconds }, { id: 0, seen }, spec);
const { data, shape } = toInput(clip.pictures, spec);
const { logit } = await networks.model(data, shape);
const crops = Buffer.concat(clip.pictures.map((picture) => Buffer.from(picture.data))).toString("base64");
process.stdout.write(JSON.stringify({ boxes, crops, logit: logit?.data[0] }));

/** @param {string} name @returns {Promise<import("../../extension/local/faces.js").Network>} */
async function open(name) {
  const model = readFileSync(new URL(`models/${name}.onnx`, EXTENSION));
  const session = await runtime.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
  return (data, shape) => session.run({ data: new runtime.Tensor("float32", data, shape) });
}
