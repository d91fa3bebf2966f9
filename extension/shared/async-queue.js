/** A queue between what makes items, such as windows of captured frames, and what waits for the next. Pure. */

import { afterAwake } from "./awake-timer.js";

export const FRAMES_TIMEOUT_MS = 60_000; // between two windows; a page that was closed sends no more

/**
 * Iterate over items that are pushed meanwhile.
 * @template T
 */
export class AsyncQueue {
  /** @type {T[]} */
  #items = [];
  #isEnded = false;
  #wake = () => {};

  /** @param {{signal?: AbortSignal, timeoutMs?: number}} [options] timeoutMs: longest wait for an item */
  constructor({ signal, timeoutMs } = {}) {
    this.signal = signal;
    this.timeoutMs = timeoutMs;
    signal?.addEventListener("abort", () => this.#wake());
  }

  /** Add an item. @param {T} item */
  push(item) {
    this.#items.push(item);
    this.#wake();
  }

  /** End the iteration after the items so far. */
  end() {
    this.#isEnded = true;
    this.#wake();
  }

  /** @returns {AsyncGenerator<T>} */
  async *[Symbol.asyncIterator]() {
    for (;;) {
      this.signal?.throwIfAborted();
      const next = this.#items.shift();
      if (next !== undefined) yield next;
      else if (this.#isEnded) return;
      else await this.#change();
    }
  }

  /** @returns {Promise<void>} */
  #change() {
    return new Promise((resolve, reject) => {
      const stop = this.timeoutMs
        ? afterAwake(this.timeoutMs, () => reject(new Error("no more items came")))
        : () => {};
      this.#wake = () => (stop(), resolve());
    });
  }
}
