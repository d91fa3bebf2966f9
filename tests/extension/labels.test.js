import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import {
  formatAge,
  formatClock,
  ERROR_CODES,
  nextActions,
  formatPercent,
  progressLabel,
  reasonText,
  summarize,
  toLabel,
} from "../../extension/shared/labels.js";
import { failedReport, parseReport } from "../../extension/shared/report.js";
import { toTranslate } from "../../extension/shared/i18n.js";

const read = (/** @type {string} */ path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
const words = toTranslate(read("../../extension/_locales/en/messages.json"));
const example = () => read("../assets/report.json");

/** @param {string} label */
const labelled = (label) => {
  const json = example();
  json.verdict.label = label;
  return toLabel(parseReport(json), words);
};

test("a verdict is shown with the labels of the contract", () => {
  const shown = ["fake", "real", "uncertain", "no_face"].map((label) => labelled(label).text);
  assert.deepEqual(shown, ["Likely deepfake", "No sign of a deepfake", "Not sure", "No face found"]);
});

test("nothing is ever called verified, authentic or genuine", () => {
  const all = JSON.stringify(read("../../extension/_locales/en/messages.json"));
  assert.doesNotMatch(all, /verified|authentic|genuine/i);
});

test("every error code of the contract has texts and a next action", () => {
  const contract = `bad_url blocked_address unsupported_site login_required fetch_failed too_large too_long live_stream
    not_a_video no_frames timeout busy rate_limited bad_input model_unavailable cancelled internal`;
  for (const code of contract.split(/\s+/)) {
    assert.ok(ERROR_CODES.includes(code), code);
    assert.ok(nextActions(code).length > 0, code);
    assert.doesNotMatch(toLabel(failedReport(code, ""), words).detail, /error_|next_/);
  }
});

test("an unknown error code is shown as internal", () => {
  for (const code of ["flux_capacitor", "constructor", "__proto__"]) {
    assert.equal(toLabel(failedReport(code, ""), words).detail, toLabel(failedReport("internal", ""), words).detail);
    assert.deepEqual(nextActions(code), nextActions("internal"));
  }
});

test("a percentage is never 0 or 100", () => {
  assert.deepEqual(
    [0, 0.004, 0.01, 0.5, 0.99, 0.999, 1].map((one) => formatPercent(one, words)),
    ["under 1%", "under 1%", "1%", "50%", "99%", "over 99%", "over 99%"],
  );
});

test("progress shows the place in the queue, then the stage and the percentage", () => {
  assert.deepEqual(progressLabel({ stage: "queued", fraction: 0, position: 3 }, words), {
    text: "Waiting",
    tone: "busy",
    detail: "Checks before this one: 2",
  });
  assert.deepEqual(progressLabel({ stage: "faces", fraction: 0.42, position: 0 }, words), {
    text: "Checking: 42%",
    tone: "busy",
    detail: "Finding faces",
  });
});

test("an unknown reason is its own text", () => {
  assert.equal(reasonText("new_code", words), "new_code");
  assert.notEqual(reasonText("score_high", words), "score_high");
});

test("times are formatted as by a player", () => {
  assert.deepEqual([0, 7.9, 754, 3723].map(formatClock), ["0:00", "0:07", "12:34", "1:02:03"]);
});

test("a summary names label, address and model, and claims no proof", () => {
  const report = parseReport(example());
  if (report.status !== "ok") throw new Error("unreachable");
  const text = summarize(report, words);
  for (const part of ["Likely deepfake", "87%", "https://videos.example/watch?v=moonwalk", "mobilenet-gru", "no proof"])
    assert.ok(text.includes(part), part);
});

test("an age is given in the largest whole unit", () => {
  const hour = 3_600_000;
  assert.deepEqual(
    [0, hour, 49 * hour].map((then) => formatAge(0, then, "en")),
    ["this minute", "1 hour ago", "2 days ago"],
  );
});
