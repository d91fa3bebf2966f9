import assert from "node:assert/strict";
import test from "node:test";

import { chooseBackend } from "../../extension/on_device/backend-choice.js";

/**
 * @import { Network } from "../../extension/on_device/face-detector.js"
 * @import { Adapter } from "../../extension/on_device/backend-choice.js"
 */

const SHAPE = [2, 3, 4, 4];
const REAL = { info: { isFallbackAdapter: false } };

/** A computer on which each run takes its time, and who was asked. */
class Computer {
  ms = 0;
  /** @type {string[]} */
  asked = [];
  /** @type {(reason: string) => void} */
  breakDown = () => {};

  /**
   * @param {string} name
   * @param {number} ms
   * @param {(input: Float32Array, run: number) => number | Promise<number>} say a logit
   */
  network(name, ms, say) {
    let run = 0;
    /** @type {Network} */
    const network = async (data, shape) => {
      this.asked.push(name);
      this.ms += ms;
      return { logit: { data: Float32Array.of(await say(data, ++run)), dims: [1] }, maps: { data, dims: shape } };
    };
    return network;
  }

  /** @param {Network} wasm @param {Network | Error} run @param {Adapter | null} [adapter] */
  choose(wasm, run, adapter = REAL) {
    const open = async () => {
      this.asked.push("open");
      if (run instanceof Error) throw run;
      /** @type {Promise<string>} */
      const broken = new Promise((resolve) => (this.breakDown = resolve));
      return { run, broken, close: () => void this.asked.push("close") };
    };
    return chooseBackend(wasm, { requestAdapter: async () => adapter, open }, SHAPE, () => this.ms);
  }
}

const logit = (/** @type {Float32Array} */ data) => 3 + data.reduce((sum, value) => sum + value) / data.length;
const input = Float32Array.from({ length: 96 }, (_, place) => place / 96);

/**
 * @param {(computer: Computer) => Promise<Network>} chosen
 * @returns {Promise<string[]>} what was called until there was a choice, and after it
 */
async function askedBy(chosen) {
  const computer = new Computer();
  const network = await chosen(computer);
  computer.asked.push("|");
  assert.ok(Math.abs(((await network(input, SHAPE)).logit?.data[0] ?? NaN) - logit(input)) <= 0.02);
  return computer.asked;
}

test("without a GPU, and on an emulated one, the network runs on WebAssembly and nothing is tried", async () => {
  for (const adapter of [
    null,
    { isFallbackAdapter: true },
    { isFallbackAdapter: false, info: { isFallbackAdapter: true } },
  ]) {
    assert.deepEqual(
      await askedBy((computer) =>
        computer.choose(computer.network("wasm", 9, logit), computer.network("gpu", 1, logit), adapter),
      ),
      ["|", "wasm"],
    );
  }
});

test("a GPU that gives the same numbers, and sooner, runs the network", async () => {
  for (const adapter of [{}, REAL, { isFallbackAdapter: false }]) {
    const asked = await askedBy((computer) =>
      computer.choose(
        computer.network("wasm", 9, logit),
        computer.network("gpu", 1, (data) => logit(data) + 0.01),
        adapter,
      ),
    );
    assert.deepEqual(asked, ["open", "gpu", "gpu", "wasm", "wasm", "|", "gpu"]);
  }
});

test("the first run of either, which compiles, is not timed", async () => {
  for (const [slow, chosen] of /** @type {const} */ ([
    ["gpu", "gpu"],
    ["wasm", "wasm"],
  ])) {
    const computer = new Computer();
    const network = (/** @type {string} */ name, /** @type {number} */ ms) =>
      computer.network(name, ms, (data, run) => ((computer.ms += name === slow && run === 1 ? 1000 : 0), logit(data)));
    const [wasmMs, gpuMs] = slow === "gpu" ? [9, 1] : [1, 9];
    await (
      await computer.choose(network("wasm", wasmMs), network("gpu", gpuMs))
    )(input, SHAPE);
    assert.equal(computer.asked.at(-1), chosen);
  }
});

for (const [words, ms, say] of /** @type {[string, number, (data: Float32Array, run: number) => number][]} */ ([
  ["says something else", 1, (data) => logit(data) + 0.03],
  ["says something else the second time", 1, (data, run) => logit(data) + (run === 2 ? 0.03 : 0)],
  ["says no number", 1, () => NaN],
  ["is slower", 10, logit],
  ["throws", 1, () => assert.fail("no such operator")],
])) {
  test(`a GPU that ${words} is closed, and the network runs on WebAssembly`, async () => {
    const asked = await askedBy((computer) =>
      computer.choose(computer.network("wasm", 9, logit), computer.network("gpu", ms, say)),
    );
    assert.deepEqual(asked.filter((name) => name !== "gpu").slice(-3), ["close", "|", "wasm"]);
  });
}

test("small numbers are compared by their relative difference", async () => {
  const small = (/** @type {number} */ share) => (/** @type {Float32Array} */ data) => (share * logit(data)) / 100;
  const [wasm, near, far] = [small(1), small(1.01), small(1.1)].map((say, place) =>
    new Computer().network(String(place), 0, say),
  );
  assert.ok(wasm && near && far);
  assert.notEqual(await new Computer().choose(wasm, near), wasm);
  assert.equal(await new Computer().choose(wasm, far), wasm);
});

test("a GPU that cannot be found or opened, or lacks an output, leaves the network on WebAssembly", async () => {
  assert.deepEqual(
    await askedBy((computer) => computer.choose(computer.network("wasm", 9, logit), new Error("no memory"))),
    ["open", "|", "wasm"],
  );
  const wasm = new Computer().network("wasm", 9, logit);
  assert.equal(
    await chooseBackend(
      wasm,
      { requestAdapter: () => Promise.reject(new Error("not allowed")), open: () => assert.fail() },
      SHAPE,
    ),
    wasm,
  );
  const silent = async (/** @type {Float32Array} */ data, /** @type {number[]} */ shape) => ({
    maps: { data, dims: shape },
  });
  assert.equal(await new Computer().choose(wasm, silent), wasm);
});

test("a GPU that never answers times out", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const computer = new Computer();
  const wasm = computer.network("wasm", 9, logit);
  const choosing = computer.choose(
    wasm,
    computer.network("gpu", 1, () => new Promise(() => {})),
  );
  while (!computer.asked.includes("gpu")) await Promise.resolve();
  context.mock.timers.tick(60_000);
  assert.equal(await choosing, wasm);
});

for (const [words, say] of /** @type {[string, (computer: Computer) => number | Promise<number>][]} */ ([
  ["throws", () => assert.fail("the device is lost")],
  ["says no number", () => Infinity],
  ["is lost and never answers", (computer) => (computer.breakDown("lost"), new Promise(() => {}))],
  ["is lost and answers all the same", async (computer) => (computer.breakDown("lost"), await Promise.resolve(), 5)],
])) {
  test(`where a GPU ${words} midway, WebAssembly takes over for good`, async () => {
    const computer = new Computer();
    const gpu = computer.network("gpu", 1, (data, run) => (run < 4 ? logit(data) : say(computer)));
    const network = await computer.choose(computer.network("wasm", 9, logit), gpu);
    computer.asked = [];
    for (let run = 0; run < 3; run++)
      assert.ok(Math.abs(((await network(input, SHAPE)).logit?.data[0] ?? NaN) - logit(input)) < 1e-6);
    assert.deepEqual(computer.asked, ["gpu", "gpu", "close", "wasm", "wasm"]);
  });
}

test("a GPU that is lost between two checks is not used again", async () => {
  const computer = new Computer();
  const network = await computer.choose(computer.network("wasm", 9, logit), computer.network("gpu", 1, logit));
  computer.breakDown("the lid was closed");
  await new Promise((resolve) => setTimeout(resolve));
  await network(input, SHAPE);
  await network(input, SHAPE);
  assert.deepEqual(computer.asked, ["open", "gpu", "gpu", "wasm", "wasm", "close", "wasm", "wasm"]);
});

test("an error of WebAssembly is not tried twice", async () => {
  const computer = new Computer();
  const wasm = computer.network("wasm", 9, (data, run) => (run < 3 ? logit(data) : assert.fail("out of memory")));
  const network = await computer.choose(
    wasm,
    computer.network("gpu", 1, (data, run) => (run < 3 ? logit(data) : NaN)),
  );
  for (let check = 0; check < 2; check++) await assert.rejects(network(input, SHAPE), /out of memory/);
  assert.deepEqual(computer.asked.slice(-4), ["gpu", "close", "wasm", "wasm"]);
});
