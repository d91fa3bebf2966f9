import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { toJson } from "../../extension/page/report-export.js";
import { failedReport, mergeSpans, parseReport } from "../../extension/shared/report.js";

const example = () => JSON.parse(readFileSync(new URL("../assets/report.json", import.meta.url), "utf8"));

/** @returns {import("../../extension/shared/report.js").OkReport} */
function ok(/** @type {unknown} */ json) {
  const report = parseReport(json);
  assert.equal(report.status, "ok");
  if (report.status !== "ok") throw new Error("unreachable");
  return report;
}

test("the example that Python writes is read whole", () => {
  const report = ok(example());
  assert.equal(report.verdict.label, "fake");
  assert.equal(report.verdict.probability_fake, 0.8689);
  assert.deepEqual(report.verdict.band, [0.35, 0.75]);
  assert.deepEqual(
    report.faces.map((face) => face.id),
    [0, 1],
  );
  assert.equal(report.timeline.length, example().timeline.length);
  assert.ok(report.faces.every((face) => face.thumbnail?.startsWith("data:image/jpeg;base64,")));
});

test("reading what was read changes nothing, so that a remembered report can be read again", () => {
  const once = ok(example());
  assert.deepEqual(ok({ ...once }), once);
});

test("a signed report leaves as it was signed, also after it was remembered; only a Space signs", () => {
  const signed = { ...example(), signature: "a..b", fromAnotherVersion: { 'quoted "name"': [1e21, 0.1, "\u2028é"] } };
  for (const report of [ok(signed), ok(structuredClone(ok(signed)))])
    assert.deepEqual(JSON.parse(toJson(report)), signed);
  const claim = parseReport({ ...example(), signed }, false);
  assert.ok(claim.status === "ok" && claim.signed === null);
  assert.ok(!("signed" in JSON.parse(toJson(ok(example())))));
});

test("a failed report keeps its code and words, and other JSON reads as one", () => {
  const choice = { url: "https://example.com/a", title: "A", duration_seconds: 4 };
  const error = { code: "unsupported_site", message: "No.", choices: [choice] };
  const others = [{ ...choice, url: "javascript:alert(1)" }, { url: "/relative" }, null];
  const asGiven = { ...error, choices: [choice, ...others] };
  const failed = parseReport({ schema: "unmask.report/1", status: "failed", error: asGiven });
  assert.deepEqual(failed.status === "failed" && failed.error, error);
  const unreadable = [
    undefined,
    null,
    1,
    "x",
    [],
    {},
    { schema: "unmask.report/2", status: "ok" },
    { schema: "unmask.report/1" },
  ];
  for (const json of unreadable) {
    const report = parseReport(json);
    assert.equal(report.status === "failed" && report.error.code, "bad_report", JSON.stringify(json));
  }
});

test("only JPEG pictures and web links pass, and text keeps no control or direction characters", () => {
  const json = example();
  json.source.url = "javascript:alert(1)";
  json.source.title = "a\u202Eb\u0000c\n<img src=x onerror=alert(1)>";
  json.faces[0].thumbnail = "data:image/svg+xml;base64,AAAA";
  json.faces[0].heatmap = "https://tracker.example/pixel.jpg";
  const report = ok(json);
  assert.equal(report.source.url, null);
  assert.equal(report.source.title, "a b c <img src=x onerror=alert(1)>");
  assert.equal(report.faces[0]?.thumbnail, null);
  assert.equal(report.faces[0]?.heatmap, null);
});

test("a probability out of range, or a label nobody knows, gives no verdict; no face has no probability", () => {
  for (const change of [
    { probability_fake: 1.5 },
    { probability_fake: "0.9" },
    { probability_fake: null },
    { label: "authentic" },
  ]) {
    const json = example();
    Object.assign(json.verdict, change);
    assert.equal(parseReport(json).status, "failed", JSON.stringify(change));
  }
  const json = example();
  Object.assign(json.verdict, { label: "no_face", probability_fake: 0.4 });
  assert.equal(ok(json).verdict.probability_fake, null);
});

test("damaged JSON of any shape never throws, and what comes out can be read again", () => {
  const random = generator(7);
  for (let round = 0; round < 3000; round++) {
    const json = damage(example(), random);
    const report = parseReport(json);
    assert.ok(report.status === "ok" || report.status === "failed");
    if (report.status === "ok") assertSafe(report);
  }
});

test("prototypes in JSON are not followed", () => {
  assert.equal(
    parseReport(JSON.parse('{"__proto__": {"schema": "unmask.report/1", "status": "ok"}}')).status,
    "failed",
  );
  const json = JSON.parse(
    '{"schema": "unmask.report/1", "status": "ok", "verdict": {"__proto__": {"label": "fake", "probability_fake": 1}}}',
  );
  assert.equal(parseReport(json).status, "failed");
});

test("of overlapping moments the more suspicious is kept", () => {
  const span = (/** @type {number} */ start, /** @type {number} */ end, /** @type {number} */ chance) => ({
    start_seconds: start,
    end_seconds: end,
    face_id: 0,
    probability_fake: chance,
    label: /** @type {const} */ ("uncertain"),
  });
  const merged = mergeSpans([span(0, 1, 0.2), span(0.5, 1.5, 0.9), span(2, 3, 0.1), span(2, 2, 0.05)]);
  assert.deepEqual(
    merged.map((one) => one.probability_fake),
    [0.9, 0.1],
  );
});

test("a failure of the extension reads as one of a Space", () => {
  const own = failedReport("space_unreachable", "", "https://example.com/");
  assert.deepEqual(parseReport(own), own);
});

/** @param {import("../../extension/shared/report.js").OkReport} report */
function assertSafe(report) {
  for (const face of report.faces) {
    for (const picture of [face.thumbnail, face.heatmap])
      assert.ok(picture === null || picture.startsWith("data:image/jpeg;base64,"));
    assert.ok(face.probability_fake >= 0 && face.probability_fake <= 1);
  }
  for (const span of report.timeline) assert.ok(span.start_seconds >= 0 && span.end_seconds >= span.start_seconds);
  assert.ok(report.source.url === null || /^https?:/.test(report.source.url));
  const [low, high] = report.verdict.band;
  assert.ok(low >= 0 && low <= high && high <= 1);
}

/** A small generator, so that a failure can be repeated. @param {number} seed @returns {() => number} */
function generator(seed) {
  return () => {
    seed = (seed * 1664525 + 1013904223) % 2 ** 32;
    return seed / 2 ** 32;
  };
}

const STRINGS = ["", "<script>", "data:image/jpeg;base64,<"];
/** @type {unknown[]} */
const NASTY = [null, undefined, -1, 1e308, NaN, 0.5, true, [], {}, [[]], { toString: null }, ...STRINGS];

/** Replace one to three places anywhere in the JSON. @param {any} json @param {() => number} random */
function damage(json, random) {
  for (let times = 0; times < 1 + random() * 3; times++) {
    let at = json;
    for (;;) {
      const keys = Object.keys(at);
      const key = keys[Math.floor(random() * keys.length)];
      if (key === undefined) break;
      if (at[key] === null || typeof at[key] !== "object" || random() < 0.2) {
        at[key] = NASTY[Math.floor(random() * NASTY.length)];
        break;
      }
      at = at[key];
    }
  }
  return json;
}
