/**
 * Networks run by ONNX Runtime. Its build for WebGPU is twice as large, and loaded only where WebGPU is tried.
 *
 * @import { Network, Tensor } from "./face-detector.js"
 * @typedef {{run: (feeds: Record<string, unknown>) => Promise<Record<string, Tensor>>}} Session
 *
 * @typedef {object} Runtime the part of onnxruntime-web that is used
 * @property {{
 *   wasm: {numThreads: number, wasmPaths: {mjs: string}, wasmBinary: ArrayBuffer},
 *   webgpu: {device: Promise<GPUDevice>},
 *   logLevel: string,
 * }} env
 * @property {{create: (model: Uint8Array, options: object) => Promise<Session>}} InferenceSession
 * @property {new (type: "float32", data: Float32Array, dims: number[]) => unknown} Tensor
 */

const MAX_THREADS = 4; // more gain little on networks this small
const ERROR_SEVERITY = 3; // below it, ONNX Runtime warns that shapes are not computed on the GPU

const urlOf = (/** @type {string} */ path) => new URL(`../${path}`, import.meta.url).href;

/** Load the WebAssembly build. @returns {Promise<(name: string) => Promise<Network>>} opens one of models/ */
export async function loadWasmRuntime() {
  /** @type {Runtime} */
  const runtime = await import(/** @type {string} */ ("../vendor/ort.wasm.min.mjs"));
  const threads = self.crossOriginIsolated ? Math.min(MAX_THREADS, navigator.hardwareConcurrency) : 1; // Firefox: 1
  await configure(runtime, "ort-wasm-simd-threaded", threads);
  return (name) => openNetwork(runtime, name, "wasm");
}

/**
 * Request the adapter that ONNX Runtime requests, too.
 * @returns {Promise<import("./backend-choice.js").Adapter | null | undefined>}
 */
export async function requestAdapter() {
  return navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
}

/**
 * Open a network on WebGPU.
 * @param {string} name of one of models/
 * @returns {Promise<import("./backend-choice.js").GpuNetwork>}
 */
export async function openGpuNetwork(name) {
  /** @type {Runtime} */
  const runtime = await import(/** @type {string} */ ("../vendor/ort.webgpu.min.mjs"));
  await configure(runtime, "ort-wasm-simd-threaded.asyncify", 1);
  const run = await openNetwork(runtime, name, "webgpu");
  const device = await runtime.env.webgpu.device;
  const lost = device.lost.then(({ message }) => message);
  const failed = new Promise((resolve) => {
    device.addEventListener("uncapturederror", ({ error }) => resolve(error.message));
  });
  return { run, broken: Promise.race([lost, failed]), close: () => device.destroy() };
}

/**
 * Read a file of the extension, also offline, where Firefox lets a worker fetch nothing.
 * @param {string} path
 * @returns {Promise<ArrayBuffer>}
 */
export function readFile(path) {
  const request = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    request.onload = () => resolve(request.response);
    request.onerror = () => reject(new Error(`${path} cannot be read`));
    request.open("GET", urlOf(path));
    request.responseType = "arraybuffer";
    request.send();
  });
}

/** @param {Runtime} runtime @param {string} build @param {number} threads */
async function configure({ env }, build, threads) {
  env.wasm.numThreads = threads;
  env.wasm.wasmPaths = { mjs: urlOf(`vendor/${build}.mjs`) };
  env.wasm.wasmBinary = await readFile(`vendor/${build}.wasm`);
  env.logLevel = "error";
}

/** @param {Runtime} runtime @param {string} name @param {"wasm" | "webgpu"} provider @returns {Promise<Network>} */
async function openNetwork(runtime, name, provider) {
  const bytes = new Uint8Array(await readFile(`models/${name}.onnx`));
  const options = { executionProviders: [provider], logSeverityLevel: ERROR_SEVERITY };
  const session = await runtime.InferenceSession.create(bytes, options);
  return (data, shape) => session.run({ data: new runtime.Tensor("float32", data, shape) });
}
