import assert from "node:assert/strict";
import test from "node:test";

import { backOffMs, parseEvents, SpaceClient } from "../../extension/background/space-client.js";
import { CheckError } from "../../extension/shared/errors.js";

/**
 * Fake a Space that answers every call with these chunks of an event stream.
 *
 * @param {string[]} chunks
 * @param {number} [status]
 */
function space(chunks, status = 200) {
  /** @type {{url: string, options: RequestInit | undefined}[]} */
  const asked = [];
  /** @type {typeof fetch} */
  const fetcher = async (url, options) => {
    asked.push({ url: String(url), options });
    if (options?.method === "POST") return new Response('{"event_id": "e1"}', { status });
    const bytes = chunks.map((chunk) => new TextEncoder().encode(chunk));
    return new Response(
      new ReadableStream({ pull: (sink) => (bytes.length ? sink.enqueue(bytes.shift()) : sink.close()) }),
    );
  };
  return { api: new SpaceClient("http://space.example", "secret", fetcher), asked };
}

/** @param {Promise<unknown>} call @param {string} code */
const failsWith = (call, code) => assert.rejects(call, (error) => error instanceof CheckError && error.code === code);

test("a call posts its arguments in order and reads the last event", async () => {
  const { api, asked } = space(['event: complete\ndata: [{"job": "abc"}]\n\n']);
  assert.equal((await api.submit("https://a.example/", "m")).job, "abc");
  assert.deepEqual(
    asked.map((one) => one.url),
    ["http://space.example/gradio_api/call/submit", "http://space.example/gradio_api/call/submit/e1"],
  );
  assert.equal(asked[0]?.options?.body, '{"data":["https://a.example/","m",0,null]}');
});

test("the token is sent; cookies are not, and redirects are not followed", async () => {
  const { api, asked } = space(['event: complete\ndata: [{"cancelled": true}]\n\n']);
  assert.equal(await api.cancel("x"), true);
  for (const { options } of asked) {
    assert.equal(new Headers(options?.headers).get("Authorization"), "Bearer secret");
    assert.deepEqual([options?.credentials, options?.redirect], ["omit", "error"]);
  }
});

test("a stream gives progress, then the report, wherever its chunks are cut", async () => {
  const whole =
    'event: generating\ndata: [{"stage": "faces", "text": "Gesichter ä"}]\n\nevent: heartbeat\ndata: null\n\n' +
    'event: complete\ndata: [{"status": "ok"}]\n\n';
  const bytes = new TextEncoder().encode(whole);
  for (const size of [1, 7, 64, 1000]) {
    const fetcher = /** @type {typeof fetch} */ (
      async (_, options) => {
        if (options?.method === "POST") return new Response('{"event_id": "e"}');
        let at = 0;
        return new Response(
          new ReadableStream({
            pull: (sink) => (at < bytes.length ? sink.enqueue(bytes.slice(at, (at += size))) : sink.close()),
          }),
        );
      }
    );
    const items = [];
    const asked = { windows: [], pageUrl: "", model: "", title: "" };
    for await (const item of new SpaceClient("http://s", "", fetcher).checkFrames(asked, new AbortController().signal))
      items.push(item);
    assert.deepEqual(items, [{ stage: "faces", text: "Gesichter ä" }, { status: "ok" }]);
  }
});

test("every failure has a code", async () => {
  await failsWith(space(["event: error\ndata: null\n\n"]).api.models(), "internal");
  await failsWith(space(["event: generating\ndata: [1]\n\n"]).api.models(), "space_unreachable");
  await failsWith(space(["event: complete\ndata: [7]\n\n"]).api.models(), "bad_report");
  await failsWith(space([], 401).api.models(), "space_forbidden");
  await failsWith(space([], 404).api.models(), "bad_report");
  await failsWith(space([], 503).api.models(), "space_unreachable");
  const broken = new ReadableStream({ start: (body) => body.error(new TypeError("gone")) });
  await failsWith(new SpaceClient("http://s", "", async () => new Response(broken)).models(), "space_unreachable");
  await failsWith(
    new SpaceClient("http://s", "", async () => Promise.reject(new TypeError("gone"))).models(),
    "space_unreachable",
  );
});

test("a timeout differs from a cancelled request", async () => {
  /** @type {typeof fetch} never answers */
  const silent = (_, options) =>
    new Promise((_, reject) => options?.signal?.addEventListener("abort", () => reject(options.signal?.reason)));
  const awake = setTimeout(() => {}, 5000); // the timer of a signal does not keep Node running
  await failsWith(new SpaceClient("http://s", "", silent, 5).models(), "timeout");
  /** @type {typeof fetch} takes the request, opens the stream and says nothing more */
  const stalled = async (_, options) =>
    options?.body ? new Response('{"event_id": "1"}') : new Response(new ReadableStream({}));
  const request = { windows: [], pageUrl: "", model: "", title: "" };
  const { signal } = new AbortController();
  await failsWith(new SpaceClient("http://s", "", stalled, 5, 5).checkFrames(request, signal).next(), "timeout");
  await failsWith(new SpaceClient("http://s", "", silent, 5, 5).checkFrames(request, signal).next(), "timeout");
  const left = new AbortController();
  const call = new SpaceClient("http://s", "", silent)
    .checkFrames({ windows: [], pageUrl: "", model: "", title: "" }, left.signal)
    .next();
  await new Promise((resolve) => setTimeout(resolve));
  left.abort();
  await failsWith(call, "cancelled");
  clearTimeout(awake);
});

test("an unfinished event waits for its end", () => {
  assert.deepEqual(parseEvents("event: a\r\ndata: 1\r\n\r\nevent: b\nda"), {
    events: [{ event: "a", data: "1" }],
    rest: "event: b\nda",
  });
});

test("the wait grows with time and failures, has jitter and an end", () => {
  const middle = () => 0.5;
  assert.deepEqual(
    [0, 20_000, 1e9].map((ms) => backOffMs(0, ms, middle)),
    [600, 1600, 4000],
  );
  assert.deepEqual(
    [1, 2, 9].map((failures) => backOffMs(failures, 0, middle)),
    [2000, 4000, 30_000],
  );
  assert.notEqual(
    backOffMs(1, 0, () => 0),
    backOffMs(1, 0, () => 1),
  );
});
