/**
 * What the extension's detector says of pictures, for test_detector.py: node networks.js FOLDER …, a folder a window
 *
 * window.json {width, height, seconds, boxes: Python's, a list a frame}, pictures.rgb -> one JSON list on stdout.
 */

import { readFileSync } from "node:fs";

import { embed } from "../../extension/on_device/appearance.js";
import { cropClip, toInput } from "../../extension/on_device/clips.js";
import { computeHeatmap } from "../../extension/on_device/saliency.js";
import { detectFaces } from "../../extension/on_device/face-detector.js";

const EXTENSION = new URL("../../extension/", import.meta.url);
const { clip: spec } = JSON.parse(readFileSync(new URL("models/config.json", EXTENSION), "utf8"));
const projection = new Float32Array(readFileSync(new URL("models/appearance.bin", EXTENSION)).buffer);
const runtime = await import(new URL("vendor/ort.wasm.min.mjs", EXTENSION).href);
runtime.env.wasm.numThreads = 1;
runtime.env.wasm.wasmBinary = readFileSync(new URL("vendor/ort-wasm-simd-threaded.wasm", EXTENSION));
runtime.env.wasm.wasmPaths = { mjs: new URL("vendor/ort-wasm-simd-threaded.mjs", EXTENSION).href };
const networks = {
  model: await open("model"),
  heat: await open("heat"),
  pnet: await open("pnet"),
  rnet: await open("rnet"),
  onet: await open("onet"),
};

const said = [];
for (const folder of process.argv.slice(2)) said.push(await look(folder));
process.stdout.write(JSON.stringify(said));

/** @param {string} folder */
async function look(folder) {
  const { width, height, seconds, boxes } = JSON.parse(readFileSync(`${folder}/window.json`, "utf8"));
  const bytes = readFileSync(`${folder}/pictures.rgb`);
  const size = 3 * width * height;
  const pictures = seconds.map((/** @type {number} */ _, /** @type {number} */ place) => ({
    width,
    height,
    data: new Uint8Array(bytes.subarray(place * size, (place + 1) * size)),
  }));
  const found = await detectFaces(pictures, networks);
  const detections = boxes.map((/** @type {number[][]} */ some, /** @type {number} */ frame) => ({
    frame,
    seconds: seconds[frame],
    box: some[0],
    landmarks: [],
  }));
  const clip = cropClip({ images: pictures, seconds, turns: 0 }, { id: 0, detections }, spec);
  const { data, shape } = toInput(clip.images, spec);
  const { logit } = await networks.model(data, shape);
  const heats = [];
  for (const picture of clip.images) heats.push(await computeHeatmap(picture, spec, networks));
  return {
    boxes: found.map((some) => some.map(({ box }) => box)),
    embeddings: found.map((some, at) => some.map(({ landmarks }) => embed(pictures[at], landmarks, projection))),
    crops: base64(clip.images.map((picture) => picture.data)),
    heats: base64(heats),
    logit: logit?.data[0],
  };
}

/** @param {ArrayBufferView[]} parts one after another */
function base64(parts) {
  return Buffer.concat(
    parts.map(({ buffer, byteOffset, byteLength }) =>
      Buffer.from(/** @type {ArrayBuffer} */ (buffer), byteOffset, byteLength),
    ),
  ).toString("base64");
}

/** @param {string} name @returns {Promise<import("../../extension/on_device/face-detector.js").Network>} */
async function open(name) {
  const model = readFileSync(new URL(`models/${name}.onnx`, EXTENSION));
  const session = await runtime.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
  return (data, shape) => session.run({ data: new runtime.Tensor("float32", data, shape) });
}
