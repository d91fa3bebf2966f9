import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { markPercent } from "../../extension/page/evidence-scale.js";
import {
  evidenceTexts,
  formatAge,
  formatClock,
  ERROR_CODES,
  nextActions,
  formatPercent,
  helpTexts,
  progressLabel,
  reasonText,
  summarize,
  toLabel,
  originTexts,
} from "../../extension/shared/labels.js";
import { failedReport, parseReport } from "../../extension/shared/report.js";
import { toTranslate } from "../../extension/shared/i18n.js";

const read = (/** @type {string} */ path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
const words = toTranslate(read("../../extension/_locales/en/messages.json"));
const example = () => read("../assets/report.json");

/** @param {string} label @param {object | null} evidence */
const labelled = (label, evidence = null) => {
  const json = example();
  json.verdict.label = label;
  json.verdict.evidence = evidence;
  return toLabel(parseReport(json), words);
};

/** @param {Partial<import("../../extension/shared/report.js").Evidence>} given */
const evidence = (given) => ({
  direction: /** @type {const} */ ("fake"),
  strength: /** @type {const} */ ("moderate"),
  likelihood_ratio: 6.14,
  per_100: { fakes: 86.2, low: 79.6, high: 91, videos: 120 },
  ...given,
});

test("an uncertain verdict says which way it leans; labels and older reports are shown as before", () => {
  const cases = /** @type {const} */ ([
    ["uncertain", evidence({}), "Not sure · leans deepfake (moderate)", "Not sure · leans deepfake"],
    ["uncertain", evidence({ direction: "real", strength: "weak" }), "Not sure · leans real (weak)"],
    ["uncertain", evidence({ direction: "none", strength: "none" }), "Not sure · leans neither way"],
    ["uncertain", null, "Not sure", "Not sure"],
    ["fake", evidence({ strength: "strong" }), "Likely deepfake", "Likely deepfake"],
    ["real", evidence({ direction: "real", strength: "strong" }), "No sign of a deepfake"],
    ["no_face", null, "No face found"],
  ]);
  for (const [label, given, text, badge] of cases) {
    const shown = labelled(label, given);
    assert.deepEqual([shown.text, shown.badge], [text, badge ?? text.replace(/ \(.*/, "")]);
    assert.doesNotMatch(shown.detail, /detail_/);
  }
});

test("evidence is said in frequencies, and for a base rate of one in a hundred", () => {
  const said = evidenceTexts(evidence({}), words);
  assert.equal(said.grade, "Evidence: moderate, for a deepfake");
  assert.match(said.frequency, /86 of 100 .* 80 to 91; from 120 videos/);
  assert.match(said.ifRare, / 6% /); // 6.14 * 0.01 / (6.14 * 0.01 + 0.99)
  const { frequency, ifRare } = evidenceTexts(evidence({ per_100: null }), words);
  assert.deepEqual([frequency, ifRare], ["", ""]);
  const all = { fakes: 99.8, low: 99.1, high: 100, videos: 199 };
  assert.match(evidenceTexts(evidence({ per_100: all }), words).frequency, /99 of 100 .* 99 to 100; from 199 videos/);
  assert.match(evidenceTexts(evidence({ likelihood_ratio: 0.2 }), words).ifRare, /under 1%/);
});

test("what would help is said where there is no answer, once each", () => {
  const cases = /** @type {const} */ ([
    ["uncertain", ["too_few_frames", "face_too_brief"], ["a longer piece"]],
    ["uncertain", ["too_blurred", "too_few_frames"], ["a longer piece", "the original file"]],
    ["no_face", ["face_too_small"], ["the original file"]],
    ["uncertain", ["score_between"], []],
    ["fake", ["face_too_small"], []],
  ]);
  const report = parseReport(example());
  if (report.status !== "ok") throw new Error("unreachable");
  for (const [label, reasons, helps] of cases) {
    const said = helpTexts({ ...report.verdict, label, reasons: [...reasons] }, words);
    assert.equal(said.length, helps.length);
    for (const [i, help] of helps.entries()) assert.ok(said[i]?.includes(help));
  }
});

test("the marker is in the zone of the grade, and further out the larger the likelihood ratio", () => {
  const ratios = [-6, -4, -3, -1, -0.1, 0, 0.1, 1, 3, 4, 6].map(Math.exp);
  const places = ratios.map((likelihood_ratio) => {
    const far = Math.abs(Math.log(likelihood_ratio));
    const strength = far > 3.5 ? "strong" : far > 2 ? "moderate" : far > 0.5 ? "weak" : "none";
    const direction = strength === "none" ? "none" : likelihood_ratio > 1 ? "fake" : "real";
    return markPercent(evidence({ direction, strength, likelihood_ratio }));
  });
  assert.deepEqual(
    places,
    [...places].sort((a, b) => a - b),
  );
  assert.ok(Math.abs((places[5] ?? 0) - 50) < 1e-9);
  for (const [i, place] of places.entries()) assert.ok(Math.abs(place + (places.at(-1 - i) ?? 0) - 100) < 1e-9);
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

test("times are formatted as by a player, and an unknown reason is its own text", () => {
  assert.deepEqual([0, 7.9, 754, 3723].map(formatClock), ["0:00", "0:07", "12:34", "1:02:03"]);
  assert.equal(reasonText("new_code", words), "new_code");
  assert.notEqual(reasonText("score_high", words), "score_high");
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

test("the origin is said beside the faces, each with what it is worth", () => {
  const signed = { signer: "Example News", made: "ai", problem: null };
  const site = { name: "YouTube", label: "Altered or synthetic content" };
  const tags = { software: "Lavf", camera: "", made: null, notes: [] };
  const chain = [
    { ...signed, relation: "active", title: "the film", state: "trusted" },
    { ...signed, relation: "parentOf", title: "the clip", state: "valid", made: "camera" },
    { ...signed, relation: "componentOf", title: "a face", state: "invalid", problem: "changed" },
    { ...signed, relation: "inputTo", title: null, state: "unverified", made: null },
    { ...signed, relation: "unknown", title: "x", state: "valid" },
    { ...signed, relation: "parentOf", title: "x", state: "unknown" },
    7,
  ];
  const none = "No Content Credentials were found. That means nothing: most videos have none.";
  const faces = "The faces: Likely deepfake.";
  /** @type {[object | null, string, string[]][]} provenance, head, rest */
  const cases = [
    [null, "", []],
    [{ credentials: { state: "none" }, metadata: {}, site: null }, "", [none]],
    [
      { credentials: { ...signed, state: "trusted" }, metadata: tags, site },
      `Content Credentials, signed by Example News (on the trust list): made with AI. ${faces}`,
      ["YouTube labels it “Altered or synthetic content”.", "Tags of the file, which anybody can change: Lavf."],
    ],
    [
      { credentials: { ...signed, state: "trusted", chain }, site },
      `Content Credentials, signed by Example News (on the trust list): made with AI. ${faces}`,
      [
        "Made from “the clip”. Content Credentials, signed by Example News (confirmed by nobody here): " +
          "recorded with a camera.",
        "With “a face” as a part. Its Content Credentials do not hold: the content was changed after it was signed.",
        "With “?” as an input. Content Credentials that were not checked: they do not say how it was made.",
        "YouTube labels it “Altered or synthetic content”.",
      ],
    ],
    [
      { credentials: { ...signed, state: "valid", made: null } },
      "Content Credentials, signed by Example News (confirmed by nobody here): " +
        `they do not say how it was made. ${faces}`,
      [],
    ],
    [
      { credentials: { ...signed, state: "invalid", problem: "changed" } },
      `Its Content Credentials do not hold: the content was changed after it was signed. ${faces}`,
      [],
    ],
    [
      { credentials: { ...signed, state: "unverified" } },
      `Content Credentials that were not checked: made with AI. ${faces}`,
      [],
    ],
    [
      { credentials: { state: "none" }, metadata: { ...tags, made: "ai" } },
      `Tags of the file, which anybody can change: made with AI; Lavf. ${faces}`,
      [none],
    ],
  ];
  for (const [provenance, head, rest] of cases) {
    const report = parseReport({ ...example(), provenance });
    if (report.status !== "ok") throw new Error("unreachable");
    assert.deepEqual(originTexts(report, words), { head, rest });
  }
});
