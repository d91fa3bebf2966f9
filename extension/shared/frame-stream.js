/**
 * Pictures of a video as they come, a window at a time: whoever looks at them need not wait for the last. Pure.
 *
 * @typedef {import("../background/space-client.js").Frame} Frame
 */

const PATIENCE_MS = 60_000; // between two windows; a page that was closed sends no more

export class Windows {
  /** @type {Frame[][]} */
  #come = [];
  #ended = false;
  #wake = () => {};

  /** @param {AbortSignal} [signal] nobody looks any more @param {number} [patienceMs] */
  constructor(signal, patienceMs = PATIENCE_MS) {
    this.signal = signal;
    this.patienceMs = patienceMs;
    signal?.addEventListener("abort", () => this.#wake());
  }

  /** @param {Frame[] | null} frames null: there are no more */
  take(frames) {
    if (frames) this.#come.push(frames);
    else this.#ended = true;
    this.#wake();
  }

  /** @returns {AsyncGenerator<Frame[]>} */
  async *[Symbol.asyncIterator]() {
    for (;;) {
      this.signal?.throwIfAborted();
      const next = this.#come.shift();
      if (next) yield next;
      else if (this.#ended) return;
      else await this.#sign();
    }
  }

  async #sign() {
    const last = performance.now() + this.patienceMs;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    await new Promise((resolve) => {
      this.#wake = () => resolve(null);
      timer = setTimeout(resolve, this.patienceMs);
    });
    clearTimeout(timer);
    if (performance.now() >= last) throw new Error("the pictures came to an end midway");
  }
}
