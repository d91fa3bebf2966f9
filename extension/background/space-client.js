/**
 * The client of a Space: Gradio's named endpoints over plain fetch. Every answer is unknown JSON.
 *
 * POST /gradio_api/call/NAME {"data": [arguments]} -> {"event_id"}; GET …/NAME/EVENT_ID -> server-sent events.
 *
 * @import { Frame } from "../shared/messages.js"
 * @typedef {{event: string, data: string}} ServerEvent
 */

import { CheckError } from "../shared/errors.js";
import { fields, text } from "../shared/json-values.js";

const SILENCE_MS = 60_000; // a Space that works sends a heartbeat every 15 s
const ANSWER_MS = 20_000; // longest wait for a quick call; a service worker that waits longer than 30 s is ended

/** Call the endpoints of one Space. */
export class SpaceClient {
  /**
   * @param {string} address without a slash at the end
   * @param {string} [token] of Hugging Face, for a private Space; sent to this address only
   * @param {typeof fetch} [fetcher]
   * @param {number} [answerMs]
   * @param {number} [silenceMs]
   */
  constructor(
    address,
    token = "",
    fetcher = (...args) => fetch(...args),
    answerMs = ANSWER_MS,
    silenceMs = SILENCE_MS,
  ) {
    this.address = address;
    this.token = token;
    this.fetcher = fetcher;
    this.answerMs = answerMs;
    this.silenceMs = silenceMs;
  }

  /**
   * Submit a check.
   * @param {string} url
   * @param {string} model
   * @returns {Promise<Record<string, unknown>>} {job} or {job: null, report}
   */
  async submit(url, model) {
    return fields(await this.#answer("submit", [url, model, 0, null]));
  }

  /**
   * Ask how far a job is.
   * @param {string} id
   * @returns {Promise<Record<string, unknown>>} {state, stage, fraction, position, report}
   */
  async job(id) {
    return fields(await this.#answer("job", [id]));
  }

  /** Cancel a job. @param {string} id */
  async cancel(id) {
    return fields(await this.#answer("cancel", [id])).cancelled === true;
  }

  /** List the models. @returns {Promise<{name: string, revision: string}[]>} */
  async models() {
    const found = await this.#answer("models", []);
    if (!Array.isArray(found)) throw new CheckError("bad_report");
    return found.map(fields).map((one) => ({ name: text(one.name), revision: text(one.revision) }));
  }

  /**
   * Check captured frames; leaving early cancels the check.
   * @param {import("../on_device/pipeline.js").CheckRequest & {model: string}} request
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<unknown>} progress, then the report
   */
  async *checkFrames({ windows, pageUrl, model, title }, signal) {
    const frames = [];
    for await (const some of windows) frames.push(...some);
    yield* this.#call("check_frames", [frames, pageUrl, model, title], signal);
  }

  /**
   * Get the last item of a quick call.
   * @param {string} name
   * @param {unknown[]} args
   * @returns {Promise<unknown>}
   */
  async #answer(name, args) {
    let last;
    for await (const item of this.#call(name, args, AbortSignal.timeout(this.answerMs))) last = item;
    return last;
  }

  /** @param {string} name @param {unknown[]} args @param {AbortSignal} signal @returns {AsyncGenerator<unknown>} */
  async *#call(name, args, signal) {
    const body = JSON.stringify({ data: args });
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.silenceMs)]);
    const posted = await this.#fetch(name, { method: "POST", body, signal: limit });
    const { event_id: id } = fields(await jsonOf(posted, limit));
    if (typeof id !== "string") throw new CheckError("bad_report");
    const stream = await this.#fetch(`${name}/${encodeURIComponent(id)}`, { signal });
    for await (const { event, data } of readEvents(stream, signal, this.silenceMs)) {
      if (event === "error") throw new CheckError("internal");
      if (event === "generating" || event === "complete") yield firstOf(data);
      if (event === "complete") return;
    }
    throw new CheckError("space_unreachable", "The stream ended early.");
  }

  /** @param {string} path @param {RequestInit} options @returns {Promise<Response>} */
  async #fetch(path, options) {
    /** @type {Record<string, string>} */
    const headers = options.body ? { "Content-Type": "application/json" } : {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const rules = /** @type {const} */ ({ credentials: "omit", referrerPolicy: "no-referrer", redirect: "error" });
    const asked = this.fetcher(`${this.address}/gradio_api/call/${path}`, { ...rules, ...options, headers });
    const response = await asked.catch((/** @type {unknown} */ error) => {
      throw new CheckError(breakCode(options.signal), String(error));
    });
    if (response.ok) return response;
    throw new CheckError(statusCode(response.status), `${response.status}`);
  }
}

/**
 * Compute how long to wait before the next poll: longer the longer the check takes, doubled with every failure, with
 * jitter, so that many tabs do not poll at the same moment.
 * @param {number} failures in a row
 * @param {number} elapsedMs since the check began
 * @param {() => number} random
 */
export function backOffMs(failures, elapsedMs, random = Math.random) {
  const wait = failures ? Math.min(1000 * 2 ** failures, 30_000) : Math.min(600 + elapsedMs / 20, 4000);
  return Math.round(wait * (0.8 + 0.4 * random()));
}

/**
 * Get the error code of a connection that broke.
 * @param {AbortSignal | null | undefined} signal of the call
 */
function breakCode(signal) {
  if (!signal?.aborted) return "space_unreachable";
  return signal.reason?.name === "TimeoutError" ? "timeout" : "cancelled";
}

/** @param {Response} response @param {AbortSignal} signal @returns {Promise<unknown>} null: it is no JSON */
async function jsonOf(response, signal) {
  try {
    return await response.json();
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw new CheckError(breakCode(signal), String(error));
  }
}

/** @param {number} status of an HTTP answer */
function statusCode(status) {
  if (status === 401 || status === 403) return "space_forbidden";
  if (status === 429) return "rate_limited";
  return status === 404 ? "bad_report" : "space_unreachable";
}

/** @param {string} data the JSON list that Gradio wraps an answer in @returns {unknown} */
function firstOf(data) {
  try {
    const parsed = JSON.parse(data);
    return Array.isArray(parsed) ? parsed[0] : null;
  } catch {
    return null;
  }
}

/**
 * @param {Response} response
 * @param {AbortSignal} signal
 * @param {number} silenceMs
 * @returns {AsyncGenerator<ServerEvent>}
 */
async function* readEvents(response, signal, silenceMs) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { done = true, value = "" } = (await inTime(reader?.read(), silenceMs)) ?? {};
      const { events, rest } = parseEvents(buffer + value);
      buffer = rest;
      yield* events;
      if (done) return;
    }
  } catch (error) {
    if (error instanceof CheckError) throw error;
    throw new CheckError(breakCode(signal), String(error));
  } finally {
    await reader?.cancel().catch(() => {});
  }
}

/**
 * @template T
 * @param {Promise<T> | undefined} answer
 * @param {number} silenceMs
 */
function inTime(answer, silenceMs) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new CheckError("timeout")), silenceMs);
  });
  return Promise.race([answer, silence]).finally(() => clearTimeout(timer));
}

/**
 * Parse server-sent events.
 * @param {string} text
 * @returns {{events: ServerEvent[], rest: string}} rest: the start of the next event
 */
export function parseEvents(text) {
  const blocks = text.replaceAll("\r\n", "\n").split("\n\n");
  const rest = blocks.pop() ?? "";
  return { events: blocks.map(toEvent), rest };
}

/** @param {string} block @returns {ServerEvent} */
function toEvent(block) {
  const lines = block.split("\n");
  const values = (/** @type {string} */ name) =>
    lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart());
  return { event: values("event")[0] ?? "message", data: values("data").join("\n") };
}
