import assert from "node:assert/strict";
import test from "node:test";

import { HeldPlayer } from "../../extension/page/player-state.js";

Object.assign(globalThis, { HTMLMediaElement: { HAVE_CURRENT_DATA: 2 }, MediaStream: class {} });

/** A paused player that paints the frame at its place after each seek to another one. */
class FakePlayer extends EventTarget {
  paused = true;
  playbackRate = 1;
  readyState = 4;
  duration = 9;
  seeking = false;
  #seconds = 0;
  /** @type {((now: number, frame: {mediaTime: number}) => void)[]} */
  #callbacks = [];

  /** @param {number} lateMs @param {number} rate frames a second */
  constructor(lateMs, rate) {
    super();
    Object.assign(this, { lateMs, rate });
  }

  get currentTime() {
    return this.#seconds;
  }

  set currentTime(seconds) {
    const { lateMs, rate } = /** @type {any} */ (this);
    const paint = () =>
      this.#callbacks.splice(0).forEach((one) => one(0, { mediaTime: Math.floor(seconds * rate) / rate }));
    if (seconds !== this.#seconds && lateMs < Infinity) setTimeout(paint, lateMs);
    this.#seconds = seconds;
    queueMicrotask(() => this.dispatchEvent(new Event("seeked")));
  }

  /** @param {(now: number, frame: {mediaTime: number}) => void} callback */
  requestVideoFrameCallback(callback) {
    this.#callbacks.push(callback);
  }
}

const STEP_MS = 50;
const SEEKS = [
  // how late a frame is painted; frames a second; where each check seeks; how long that takes, ms
  { lateMs: 900, rate: 25, checks: [[1, 2, 3]], took: [900, 900, 900] },
  { lateMs: Infinity, rate: 25, checks: [[1, 2], [3]], took: [2000, 250, 250] },
  { lateMs: 900, rate: 25, checks: [[0, 1]], took: [250, 900] }, // where it is already, nothing is painted
  { lateMs: 50, rate: 1, checks: [[1, 1.1, 1.9, 2]], took: [50, 300, 300, 50] }, // a frame is painted again
];

test("a frame that is painted late is waited for, and only once where none is painted", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  for (const { lateMs, rate, checks, took } of SEEKS) {
    const video = /** @type {any} */ (new FakePlayer(lateMs, rate));
    const found = [];
    for (const places of checks) {
      const player = new HeldPlayer(video);
      for (const seconds of places) {
        let [isOver, ms] = [false, 0];
        void player.seek(seconds).then(() => (isOver = true));
        for (; await new Promise((resolve) => setImmediate(() => resolve(!isOver))); ms += STEP_MS)
          t.mock.timers.tick(STEP_MS);
        found.push(ms);
      }
    }
    assert.deepEqual(found, took);
  }
});
