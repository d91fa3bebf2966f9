/**
 * Checks on this computer, with the same methods as the Space, so that check-manager.js need not know the difference.
 * Nothing is sent: videos come as pictures that were taken in the tab.
 *
 * @typedef {import("../on_device/pipeline.js").Asked} Asked
 * @typedef {(asked: Asked, onProgress: (said: Record<string, unknown>) => void, signal: AbortSignal) => Promise<unknown>} Run
 */

import { SpaceError } from "./space-client.js";

export const THIS_COMPUTER = "this-computer"; // stands where a Space's address does

export class LocalApi {
  address = THIS_COMPUTER;

  /** @param {Run} run */
  constructor(run) {
    this.run = run;
  }

  /** An address alone is nothing to look at here. @returns {Promise<Record<string, unknown>>} */
  async submit() {
    throw new SpaceError("needs_pictures");
  }

  /** There are no jobs. @returns {Promise<Record<string, unknown>>} */
  async job() {
    throw new SpaceError("job_lost");
  }

  async cancel() {
    return false;
  }

  /**
   * Progress objects, then the report. Leaving early ends the check.
   *
   * @param {Asked} asked
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<unknown>}
   */
  async *checkFrames({ windows, pageUrl, title }, signal) {
    /** @type {unknown[]} */
    const heard = [];
    let wake = () => {};
    const hear = (/** @type {unknown} */ said) => (heard.push(said), wake());
    let done = false;
    const report = this.run({ windows, pageUrl, title }, hear, signal).finally(() => ((done = true), wake()));
    report.catch(() => {}); // told below
    while (!done) {
      const next = new Promise((resolve) => (wake = () => resolve(null)));
      yield* heard.splice(0);
      if (!done) await next;
    }
    yield await report.catch((error) => {
      throw new SpaceError(signal.aborted ? "cancelled" : "internal", String(error));
    });
  }
}
