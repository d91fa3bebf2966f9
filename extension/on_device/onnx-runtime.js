/**
 * Networks by ONNX Runtime. For WebGPU it has a build of its own, twice as large, which is loaded only where it is tried.
 *
 * @typedef {import("./face-detector.js").Network} Network
 * @typedef {import("./face-detector.js").Tensor} Tensor
 * @typedef {{run: (feeds: Record<string, unknown>) => Promise<Record<string, Tensor>>}} Session
 *
 * @typedef {object} Runtime the part of onnxruntime-web that is used
 * @property {{wasm: {numThreads: number, wasmPaths: {mjs: string, wasm: string}}, webgpu: {device: Promise<GPUDevice>}, logLevel: string}} env
 * @property {{create: (model: Uint8Array, options: object) => Promise<Session>}} InferenceSession
 * @property {new (type: "float32", data: Float32Array, dims: number[]) => unknown} Tensor
 */

const MOST_THREADS = 4; // more gain little on networks this small
const ERRORS = 3; // and worse; a warning would say that shapes are not reckoned on the GPU

const here = (/** @type {string} */ path) => new URL(`../${path}`, import.meta.url).href;

/** @returns {Promise<(name: string) => Promise<Network>>} opens one of models/ */
export async function onWasm() {
  /** @type {Runtime} */
  const runtime = await import(/** @type {string} */ ("../vendor/ort.wasm.min.mjs"));
  setUp(runtime, "ort-wasm-simd-threaded", self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1); // Firefox isolates no extension
  return (name) => open(runtime, name, "wasm");
}

/** The one that ONNX Runtime takes, too. @returns {Promise<import("./backend-choice.js").Adapter | null | undefined>} */
export async function findGpu() {
  return navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
}

/** @param {string} name of one of models/ @returns {Promise<import("./backend-choice.js").OnGpu>} */
export async function onGpu(name) {
  /** @type {Runtime} */
  const runtime = await import(/** @type {string} */ ("../vendor/ort.webgpu.min.mjs"));
  setUp(runtime, "ort-wasm-simd-threaded.asyncify", 1);
  const run = await open(runtime, name, "webgpu");
  const device = await runtime.env.webgpu.device;
  const lost = device.lost.then(({ message }) => message);
  const wrong = new Promise((resolve) => device.addEventListener("uncapturederror", ({ error }) => resolve(error.message)));
  return { run, broken: Promise.race([lost, wrong]), close: () => device.destroy() };
}

/** @param {Runtime} runtime @param {string} build @param {number} threads */
function setUp({ env }, build, threads) {
  env.wasm.numThreads = threads;
  env.wasm.wasmPaths = { mjs: here(`vendor/${build}.mjs`), wasm: here(`vendor/${build}.wasm`) };
  env.logLevel = "error";
}

/** @param {Runtime} runtime @param {string} name @param {"wasm" | "webgpu"} provider @returns {Promise<Network>} */
async function open(runtime, name, provider) {
  const bytes = new Uint8Array(await (await read(`${name}.onnx`)).arrayBuffer());
  const session = await runtime.InferenceSession.create(bytes, { executionProviders: [provider], logSeverityLevel: ERRORS });
  return (data, shape) => session.run({ data: new runtime.Tensor("float32", data, shape) });
}

/** @param {string} name of a file in models/ */
export function read(name) {
  return fetch(here(`models/${name}`));
}
