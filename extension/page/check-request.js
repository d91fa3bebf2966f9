/** Requests sent to a background that the browser may end at any moment. */

import { isAlive, sendToBackground } from "../shared/browser.js";

const RETRIES = 3;
const RETRY_MS = 500;

/**
 * Send a request; send it again where the background was ended as it answered.
 * @template {import("../shared/messages.js").Request} T
 * @param {T} request
 * @returns {Promise<import("../shared/messages.js").Replies[T["type"]] | null>} null where it failed
 */
export async function requestWithRetries(request) {
  for (let left = RETRIES; ; left--) {
    const answer = await sendToBackground(request).catch(() => null);
    if (answer) return typeof answer === "object" && "problem" in answer ? null : answer;
    if (left === 0 || !isAlive()) return null;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/**
 * Send a request about a check.
 * @param {Extract<import("../shared/messages.js").Request, {type: "check" | "capture" | "frames" | "poll"}>} request
 * @returns {Promise<import("../shared/messages.js").Snapshot | import("../shared/messages.js").Failure>}
 */
export async function requestCheck(request) {
  return (await requestWithRetries(request)) ?? { failure: "internal" };
}

/** Cancel a check. @param {string} key */
export function cancelCheck(key) {
  void sendToBackground({ type: "cancel", key }).catch(() => {});
}
