/**
 * Where a network runs: on a GPU that says the same as WebAssembly, and sooner, else on WebAssembly. A wrong answer is
 * worse than a slow one and drivers err, so a GPU is tried first, watched in each run and left for good at its first
 * fault. Pure; the networks are given.
 *
 * @typedef {import("./face-detector.js").Network} Network
 * @typedef {import("./face-detector.js").Tensor} Tensor
 *
 * @typedef {object} Adapter the part of a GPUAdapter that is read
 * @property {boolean} [isFallbackAdapter] in older browsers
 * @property {{isFallbackAdapter?: boolean}} [info]
 *
 * @typedef {object} OnGpu a network on the GPU
 * @property {Network} run
 * @property {Promise<string>} broken why nothing that it says holds any more
 * @property {() => void} close
 *
 * @typedef {object} Gpu
 * @property {() => Promise<Adapter | null | undefined>} find
 * @property {() => Promise<OnGpu>} open
 */

const MOST_DIFFERENCE = 0.02; // of a logit: far less than what a compression does to it; of smaller numbers, as a share
const PATIENCE_MS = 10_000; // a driver may never answer

/**
 * @param {Network} wasm
 * @param {Gpu} gpu
 * @param {number[]} shape of what it will be given; for others, a GPU has to make itself ready anew
 * @param {() => number} [now] milliseconds
 * @returns {Promise<Network>}
 */
export async function choose(wasm, { find, open }, shape, now = () => performance.now()) {
  const finding = find().then((adapter) => (isHardware(adapter) ? open() : null));
  const opened = await inTime(finding).catch(() => null);
  if (!opened) return wasm;
  const gpu = watched(opened);
  if (await isBetter(gpu, wasm, shape, now).catch(() => false)) return untilItFails(gpu, wasm, opened.close);
  opened.close();
  return wasm;
}

/** Whether it is no program that plays a GPU. @param {Adapter | null | undefined} adapter */
function isHardware(adapter) {
  return Boolean(adapter && !adapter.isFallbackAdapter && !adapter.info?.isFallbackAdapter);
}

/** Fails where the GPU would be silent for ever, or give what it cannot stand for. @param {OnGpu} opened @returns {Network} */
function watched({ run, broken }) {
  /** @type {Error | undefined} */
  let fault;
  const failing = broken.then((reason) => Promise.reject((fault = new Error(reason))));
  failing.catch(() => {}); // between two runs nobody hears it
  return async (data, shape) => {
    if (fault) throw fault;
    const said = await inTime(Promise.race([failing, run(data, shape)]));
    if (fault) throw fault; // it may be told of in the same moment
    if (!Object.values(said).every((tensor) => tensor.data.every(Number.isFinite))) throw new Error("the GPU gave no numbers");
    return said;
  };
}

/** @param {Network} gpu @param {Network} wasm @param {number[]} shape @param {() => number} now */
async function isBetter(gpu, wasm, shape, now) {
  const input = noise(shape.reduce((product, size) => product * size));
  const [ours, theirs] = [await tried(gpu, input, shape, now), await tried(wasm, input, shape, now)];
  return same(ours.first, theirs.second) && same(ours.second, theirs.second) && ours.ms <= theirs.ms;
}

/** What it says, and how long that takes once it has made itself ready. @param {Network} network @param {Float32Array} input @param {number[]} shape @param {() => number} now */
async function tried(network, input, shape, now) {
  const first = await network(input, shape);
  const begun = now();
  const second = await network(input, shape);
  return { first, second, ms: now() - begun };
}

/** @param {Record<string, Tensor>} said @param {Record<string, Tensor>} expected */
function same(said, expected) {
  return Object.entries(expected).every(([name, { data }]) => {
    const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const allowed = MOST_DIFFERENCE * Math.min(1, largest);
    return data.every((value, place) => Math.abs(value - (said[name]?.data[place] ?? NaN)) <= allowed);
  });
}

/** The same numbers each time, evenly from -2 to 2, about the range of a normalised picture. @param {number} length */
function noise(length) {
  let state = 1; // of Lehmer's generator
  return Float32Array.from({ length }, () => 4 * ((state = (16807 * state) % 2147483647) / 2147483647) - 2);
}

/** @param {Network} gpu @param {Network} wasm @param {() => void} close @returns {Network} */
function untilItFails(gpu, wasm, close) {
  let current = gpu;
  return (data, shape) =>
    current(data, shape).catch((error) => {
      if (current === wasm) throw error;
      current = wasm;
      close();
      return wasm(data, shape);
    });
}

/** @template T @param {Promise<T>} work @returns {Promise<T>} */
function inTime(work) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the GPU does not answer")), PATIENCE_MS);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
