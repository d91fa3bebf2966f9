import assert from "node:assert/strict";
import test from "node:test";

import { AsyncQueue } from "../../extension/shared/async-queue.js";

/** @param {AsyncQueue<string>} queue */
async function itemsOf(queue) {
  const items = [];
  for await (const item of queue) items.push(item);
  return items;
}

test("items come in their order, also those that were pushed before", async () => {
  /** @type {AsyncQueue<string>} */
  const queue = new AsyncQueue({ timeoutMs: 5000 });
  queue.push("a");
  setTimeout(() => (queue.push("b"), queue.end()));
  assert.deepEqual(await itemsOf(queue), ["a", "b"]);
});

test("a wait that takes too long, and an abort, end the iteration with an error", async () => {
  await assert.rejects(itemsOf(new AsyncQueue({ timeoutMs: 5 })), /no more items/);
  const controller = new AbortController();
  const waiting = itemsOf(new AsyncQueue({ signal: controller.signal }));
  controller.abort();
  await assert.rejects(waiting, /abort/);
});
