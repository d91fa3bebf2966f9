/**
 * Where the model runs: on a GPU that gives the same numbers as WebAssembly, and sooner, else on WebAssembly. A wrong
 * answer is worse than a slow one and drivers err, so a GPU is tried first, guarded in each run and left for good at
 * its first fault. Pure; the networks are given.
 *
 * @import { Network, Tensor } from "./face-detector.js"
 *
 * @typedef {object} Adapter the part of a GPUAdapter that is read
 * @property {boolean} [isFallbackAdapter] in older browsers
 * @property {{isFallbackAdapter?: boolean}} [info]
 *
 * @typedef {object} GpuNetwork
 * @property {Network} run
 * @property {Promise<string>} broken resolves with the reason when no result is valid any more
 * @property {() => void} close
 *
 * @typedef {object} Gpu
 * @property {() => Promise<Adapter | null | undefined>} requestAdapter
 * @property {() => Promise<GpuNetwork>} open
 */

const MAX_DIFFERENCE = 0.02; // of a logit: far less than re-compression changes it; of smaller numbers, as a share
const TIMEOUT_MS = 10_000; // a driver may never answer

/**
 * Choose between WebAssembly and a GPU.
 * @param {Network} wasm
 * @param {Gpu} gpu
 * @param {number[]} shape of the usual input; for others, a GPU has to compile anew
 * @param {() => number} [now] milliseconds
 * @returns {Promise<Network>}
 */
export async function chooseBackend(wasm, { requestAdapter, open }, shape, now = () => performance.now()) {
  const opening = requestAdapter().then((adapter) => (isHardware(adapter) ? open() : null));
  const opened = await withTimeout(opening).catch(() => null);
  if (!opened) return wasm;
  const gpu = guarded(opened);
  if (await isBetter(gpu, wasm, shape, now).catch(() => false)) return withFallback(gpu, wasm, opened.close);
  opened.close();
  return wasm;
}

/** Tell a GPU from a program that emulates one. @param {Adapter | null | undefined} adapter */
function isHardware(adapter) {
  return Boolean(adapter && !adapter.isFallbackAdapter && !adapter.info?.isFallbackAdapter);
}

/**
 * Make a network throw where the GPU is silent, lost, or gives no numbers.
 * @param {GpuNetwork} opened
 * @returns {Network}
 */
function guarded({ run, broken }) {
  /** @type {Error | undefined} */
  let fault;
  const failing = broken.then((reason) => Promise.reject((fault = new Error(reason))));
  failing.catch(() => {}); // between two runs nothing waits for it
  return async (data, shape) => {
    if (fault) throw fault;
    const outputs = await withTimeout(Promise.race([failing, run(data, shape)]));
    if (fault) throw fault; // it may have been reported in the same moment
    const isFinite = Object.values(outputs).every((tensor) => tensor.data.every(Number.isFinite));
    if (!isFinite) throw new Error("the GPU gave no numbers");
    return outputs;
  };
}

/** @param {Network} gpu @param {Network} wasm @param {number[]} shape @param {() => number} now */
async function isBetter(gpu, wasm, shape, now) {
  const input = noise(shape.reduce((product, size) => product * size));
  const [ours, theirs] = [await measure(gpu, input, shape, now), await measure(wasm, input, shape, now)];
  return isClose(ours.first, theirs.second) && isClose(ours.second, theirs.second) && ours.ms <= theirs.ms;
}

/**
 * Run twice: the first run compiles, the second is timed.
 * @param {Network} network
 * @param {Float32Array} input
 * @param {number[]} shape
 * @param {() => number} now
 */
async function measure(network, input, shape, now) {
  const first = await network(input, shape);
  const started = now();
  const second = await network(input, shape);
  return { first, second, ms: now() - started };
}

/** @param {Record<string, Tensor>} outputs @param {Record<string, Tensor>} expected */
function isClose(outputs, expected) {
  return Object.entries(expected).every(([name, { data }]) => {
    const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const allowed = MAX_DIFFERENCE * Math.min(1, largest);
    return data.every((value, place) => Math.abs(value - (outputs[name]?.data[place] ?? NaN)) <= allowed);
  });
}

/**
 * Generate the same numbers each time, evenly from -2 to 2, about the range of a normalised image.
 * @param {number} length
 */
function noise(length) {
  let state = 1; // of Lehmer's generator
  return Float32Array.from({ length }, () => 4 * ((state = (16807 * state) % 2147483647) / 2147483647) - 2);
}

/** @param {Network} gpu @param {Network} wasm @param {() => void} close @returns {Network} */
function withFallback(gpu, wasm, close) {
  let current = gpu;
  return (data, shape) =>
    current(data, shape).catch((error) => {
      if (current === wasm) throw error;
      current = wasm;
      close();
      return wasm(data, shape);
    });
}

/**
 * @template T
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
function withTimeout(work) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the GPU does not answer")), TIMEOUT_MS);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
