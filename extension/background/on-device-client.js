/**
 * The detector on this computer, with the methods of a Space. Nothing is sent: videos come as frames captured in the
 * tab.
 *
 * @import { CheckRequest } from "../on_device/pipeline.js"
 * @import { Port } from "../on_device/worker-host.js"
 * @import { DetectorReply } from "../shared/messages.js"
 */

import { AsyncQueue } from "../shared/async-queue.js";
import { CheckError } from "../shared/errors.js";

export const THIS_COMPUTER = "this-computer"; // in place of a Space's address

/** Check captured frames with the worker's detector. */
export class OnDeviceClient {
  address = THIS_COMPUTER;

  /** @param {() => Promise<Port>} connect to the worker's host */
  constructor(connect) {
    this.connect = connect;
  }

  /** Refuse an address: it cannot be fetched here. @returns {Promise<Record<string, unknown>>} */
  async submit() {
    throw new CheckError("needs_pictures");
  }

  /** Refuse a job: there are none. @returns {Promise<Record<string, unknown>>} */
  async job() {
    throw new CheckError("job_lost");
  }

  /** Cancel a job, of which there are none. */
  async cancel() {
    return false;
  }

  /**
   * Check captured frames; leaving early cancels the check.
   * @param {CheckRequest} request
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<unknown>} progress, then the report
   */
  async *checkFrames({ windows, pageUrl, title }, signal) {
    /** @type {AsyncQueue<DetectorReply>} */
    const replies = new AsyncQueue({ signal });
    const fail = (/** @type {unknown} */ error) => replies.push({ type: "error", message: String(error) });
    const port = await this.connect();
    try {
      port.onMessage.addListener((reply) => replies.push(reply));
      port.onDisconnect.addListener(() => fail("the worker was ended"));
      port.postMessage({ type: "check", pageUrl, title });
      sendFrames(windows, port).catch(fail);
      for await (const reply of replies) {
        if (reply.type === "error") throw new Error(reply.message);
        yield reply.type === "report" ? reply.report : reply;
        if (reply.type === "report") return;
      }
    } catch (error) {
      throw new CheckError(signal.aborted ? "cancelled" : "internal", String(error));
    } finally {
      port.disconnect();
    }
  }
}

/** @param {CheckRequest["windows"]} windows @param {Port} port */
async function sendFrames(windows, port) {
  for await (const frames of windows) port.postMessage({ type: "frames", frames });
  port.postMessage({ type: "frames", frames: null });
}
