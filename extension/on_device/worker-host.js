/**
 * Holds the worker that checks: begun at the first check, ended when nobody has asked for a while, so that its
 * memory is given back. Lives in the offscreen document in Chromium, in the background page in Firefox.
 */

const IDLE_MS = 60_000;

export class Host {
  /** @type {Worker | undefined} */
  #worker;
  /** @type {Promise<unknown>} checks happen one after the other */
  #last = Promise.resolve();
  #waiting = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {() => void} [onIdle] @param {() => Worker} [begin] @param {number} [idleMs] */
  constructor(onIdle = () => {}, begin = () => new Worker(new URL("worker.js", import.meta.url), { type: "module" }), idleMs = IDLE_MS) {
    this.onIdle = onIdle;
    this.begin = begin;
    this.idleMs = idleMs;
  }

  /**
   * @param {import("./pipeline.js").Asked} asked
   * @param {(said: Record<string, unknown>) => void} onProgress
   * @param {AbortSignal} signal
   * @returns {Promise<unknown>} the report
   */
  check(asked, onProgress, signal) {
    clearTimeout(this.#timer);
    this.#waiting++;
    const checked = this.#last.then(() => this.#run(asked, onProgress, signal)).finally(() => this.#rest());
    this.#last = checked.catch(() => {});
    return checked;
  }

  /** @param {import("./pipeline.js").Asked} asked @param {(said: Record<string, unknown>) => void} onProgress @param {AbortSignal} signal */
  #run({ windows, ...asked }, onProgress, signal) {
    signal.throwIfAborted();
    const worker = (this.#worker ??= this.begin());
    const over = new AbortController();
    const running = new Promise((resolve, reject) => {
      const stop = (/** @type {unknown} */ reason) => over.signal.aborted || (this.#end(), reject(reason)); // a network under way cannot be asked to stop
      signal.addEventListener("abort", () => stop(signal.reason), { signal: over.signal });
      worker.onerror = (event) => stop(new Error(event.message));
      worker.onmessage = ({ data }) => {
        if (data.problem) stop(new Error(data.problem));
        else if (data.report) resolve(data.report);
        else onProgress(data);
      };
      worker.postMessage(asked);
      const pass = async () => {
        for await (const frames of windows) worker.postMessage({ frames });
        worker.postMessage({ frames: null });
      };
      pass().catch(stop);
    });
    return running.finally(() => over.abort());
  }

  #rest() {
    if (--this.#waiting) return;
    this.#timer = setTimeout(() => (this.#end(), this.onIdle()), this.idleMs);
  }

  #end() {
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}
