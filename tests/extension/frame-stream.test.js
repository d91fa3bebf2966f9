import assert from "node:assert/strict";
import test from "node:test";

import { Windows } from "../../extension/shared/frame-stream.js";

const picture = (/** @type {number} */ seconds) => ({ seconds, jpeg: "" });

/** @param {Windows} windows */
async function secondsOf(windows) {
  const seconds = [];
  for await (const frames of windows) seconds.push(frames.map((frame) => frame.seconds));
  return seconds;
}

test("windows are told in their order, whether they came before or after they were waited for", async () => {
  const windows = new Windows();
  windows.take([picture(1), picture(2)]);
  const told = secondsOf(windows);
  await new Promise((resolve) => setTimeout(resolve, 5));
  windows.take([picture(3)]);
  windows.take([picture(4)]);
  windows.take(null);
  assert.deepEqual(await told, [[1, 2], [3], [4]]);
});

test("whoever waits is told that nobody wants them any more, or that no more come", async () => {
  const leaving = new AbortController();
  const left = secondsOf(new Windows(leaving.signal));
  setTimeout(() => leaving.abort(new Error("left")));
  await assert.rejects(left, /left/);
  await assert.rejects(secondsOf(new Windows(undefined, 5)), /came to an end midway/);
});
