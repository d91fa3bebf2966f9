/**
 * Talks to the Space: Gradio's named endpoints over plain fetch. Every answer is unknown JSON.
 *
 * POST /gradio_api/call/NAME {"data": [arguments]} -> {"event_id"}; GET …/NAME/EVENT_ID -> server-sent events.
 *
 * @typedef {{seconds: number, jpeg: string}} Frame jpeg: base64 or data URL
 * @typedef {{event: string, data: string}} ServerEvent
 */

import { fields, text } from "../shared/report.js";

const ANSWER_MS = 20_000; // longest wait for a quick call; a worker that waits longer than 30 s is ended

export class SpaceError extends Error {
  /**
   * @param {string} code one of label.ERROR_CODES
   * @param {string} [message]
   */
  constructor(code, message = code) {
    super(message);
    this.code = code;
  }
}

export class SpaceApi {
  /**
   * @param {string} address without a slash at the end
   * @param {string} [token] of Hugging Face, for a private Space; sent to this address only
   * @param {typeof fetch} [fetcher]
   * @param {number} [answerMs]
   */
  constructor(address, token = "", fetcher = (...args) => fetch(...args), answerMs = ANSWER_MS) {
    this.address = address;
    this.token = token;
    this.fetcher = fetcher;
    this.answerMs = answerMs;
  }

  /** @param {string} url @param {string} model @returns {Promise<Record<string, unknown>>} {job} or {job: null, report} */
  async submit(url, model) {
    return fields(await this.#answer("submit", [url, model, 0, null]));
  }

  /** @param {string} id @returns {Promise<Record<string, unknown>>} {state, stage, fraction, position, report} */
  async job(id) {
    return fields(await this.#answer("job", [id]));
  }

  /** @param {string} id */
  async cancel(id) {
    return fields(await this.#answer("cancel", [id])).cancelled === true;
  }

  /** @returns {Promise<{name: string, revision: string}[]>} */
  async models() {
    const found = await this.#answer("models", []);
    if (!Array.isArray(found)) throw new SpaceError("bad_report");
    return found.map(fields).map((one) => ({ name: text(one.name), revision: text(one.revision) }));
  }

  /**
   * Progress objects, then the report. Leaving early ends the check.
   *
   * @param {{windows: AsyncIterable<Frame[]> | Frame[][], pageUrl: string, model: string, title: string}} asked
   * @param {AbortSignal} signal
   */
  async *checkFrames({ windows, pageUrl, model, title }, signal) {
    const frames = [];
    for await (const some of windows) frames.push(...some);
    yield* this.#call("check_frames", [frames, pageUrl, model, title], signal);
  }

  /** The last item of a quick call. @param {string} name @param {unknown[]} args @returns {Promise<unknown>} */
  async #answer(name, args) {
    let last;
    for await (const item of this.#call(name, args, AbortSignal.timeout(this.answerMs))) last = item;
    return last;
  }

  /**
   * @param {string} name
   * @param {unknown[]} args
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<unknown>}
   */
  async *#call(name, args, signal) {
    const body = JSON.stringify({ data: args });
    const posted = await this.#fetch(name, { method: "POST", body, signal });
    const { event_id: id } = fields(await posted.json().catch(() => null));
    if (typeof id !== "string") throw new SpaceError("bad_report");
    const stream = await this.#fetch(`${name}/${encodeURIComponent(id)}`, { signal });
    for await (const { event, data } of readEvents(stream, signal)) {
      if (event === "error") throw new SpaceError("internal");
      if (event === "generating" || event === "complete") yield firstOf(data);
      if (event === "complete") return;
    }
    throw new SpaceError("space_unreachable", "The stream ended early.");
  }

  /** @param {string} path @param {RequestInit} options @returns {Promise<Response>} */
  async #fetch(path, options) {
    /** @type {Record<string, string>} */
    const headers = options.body ? { "Content-Type": "application/json" } : {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const rules = /** @type {const} */ ({ credentials: "omit", referrerPolicy: "no-referrer", redirect: "error" });
    const asked = this.fetcher(`${this.address}/gradio_api/call/${path}`, { ...rules, ...options, headers });
    const response = await asked.catch((/** @type {unknown} */ error) => {
      throw new SpaceError(codeOfBreak(options.signal), String(error));
    });
    if (response.ok) return response;
    throw new SpaceError(codeOf(response.status), `${response.status}`);
  }
}

/** Why nothing more came. @param {AbortSignal | null | undefined} signal of the call */
function codeOfBreak(signal) {
  if (!signal?.aborted) return "space_unreachable";
  return signal.reason?.name === "TimeoutError" ? "timeout" : "cancelled";
}

/** @param {number} status of an HTTP answer */
function codeOf(status) {
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

/** @param {Response} response @param {AbortSignal} signal @returns {AsyncGenerator<ServerEvent>} */
async function* readEvents(response, signal) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { done = true, value = "" } = (await reader?.read()) ?? {};
      const { events, rest } = parseEvents(buffer + value);
      buffer = rest;
      yield* events;
      if (done) return;
    }
  } catch (error) {
    if (error instanceof SpaceError) throw error;
    throw new SpaceError(codeOfBreak(signal), String(error));
  } finally {
    await reader?.cancel().catch(() => {});
  }
}

/** @param {string} text @returns {{events: ServerEvent[], rest: string}} rest: the beginning of an event to come */
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
