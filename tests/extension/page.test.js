import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { CANVAS_PLAN, planSeconds } from "../../extension/page/capture.js";
import { escapeHtml, toHtml } from "../../extension/page/report-export.js";
import { isEmptyPlace, isSamePicture, toFingerprint } from "../../extension/page/fingerprint.js";
import { isSameSource } from "../../extension/page/player-state.js";
import { nextIndex } from "../../extension/page/timeline.js";
import { score } from "../../extension/page/video-choice.js";
import { parseReport } from "../../extension/shared/report.js";
import { usesOnDevice, originPattern, spaceAddress, toSettings, DEFAULTS } from "../../extension/shared/settings.js";
import { toTranslate } from "../../extension/shared/i18n.js";

const read = (/** @type {string} */ path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));

test("the times of captured frames are those of Python", () => {
  /** @type {{duration: number, seconds: number[]}[]} */
  const planned = read("../assets/detector.json").planned;
  for (const { duration, seconds } of planned) {
    const times = planSeconds(duration, CANVAS_PLAN);
    assert.equal(times.length, seconds.length, String(duration));
    assert.ok(
      times.every((at, i) => Math.abs(at - (seconds[i] ?? NaN)) < 1e-6),
      String(duration),
    );
  }
});

test("pictures are the same where no cell differs by more than noise: a deepfake differs in the face alone", () => {
  const picture = Uint8Array.from({ length: 9 }, (_, cell) => 20 * cell);
  const changed = (/** @type {number} */ by) => picture.map((value, cell) => (cell === 4 ? value + by : value));
  assert.deepEqual(
    [0, 3, 4, -9].map((by) => isSamePicture(picture, changed(by))),
    [true, true, false, false],
  );
});

test("a place that a video has left looks the same all the time, with an even edge", () => {
  const side = 48;
  const picture = (/** @type {(cell: number) => number} */ lumaAt) =>
    Uint8Array.from({ length: side ** 2 }, (_, c) => lumaAt(c));
  const icon = picture((cell) => (cell === 24 * side + 24 ? 250 : 12));
  const slide = picture((cell) => cell % side);
  assert.deepEqual([[icon, icon], [icon], [icon, picture(() => 12)], [slide, slide]].map(isEmptyPlace), [
    true,
    false,
    false,
    false,
  ]);
});

test("a fingerprint holds a few pictures over the whole; a stream without an end has none", () => {
  const shape = { duration: 60, aspect: 1.5 };
  const captured = Array.from({ length: 64 }, (_, seconds) => ({ seconds, luma: Uint8Array.of(seconds) }));
  const times = (/** @type {number} */ count) =>
    toFingerprint(shape, null, captured.slice(0, count))?.pictures.map(({ seconds }) => seconds);
  assert.deepEqual([times(64), times(2), times(1)], [[0, 21, 42, 63], [0, 1], [0]]);
  assert.deepEqual([toFingerprint(null, null, captured), toFingerprint(shape, null, [])], [null, null]);
});

test("a player has another source when its address, its stream or its length changes, or it is loaded anew", () => {
  const object = {};
  const before = { src: "blob:1", object: null, duration: 60, loads: 1 };
  const cases = /** @type {const} */ ([
    [{}, true],
    [{ duration: 66 }, true], // it is still being loaded
    [{ duration: 40 }, false],
    [{ duration: 90 }, false],
    [{ duration: NaN }, true],
    [{ src: "blob:2" }, false],
    [{ loads: 2 }, false],
  ]);
  for (const [now, isSame] of cases) assert.equal(isSameSource(before, { ...before, ...now }), isSame);
  assert.equal(isSameSource({ ...before, src: "" }, before), true); // it has only now been given one
  assert.equal(isSameSource({ ...before, object }, { ...before, object: {} }), false);
  assert.equal(isSameSource({ ...before, duration: Infinity }, before), true); // a recording, at its end
  assert.equal(isSameSource({ ...before, duration: NaN }, { ...before, loads: 2 }), true); // now it is played
});

test("the video that is meant: hovered before clicked before playing before large before a loop behind all", () => {
  const state = { hovered: false, clickedAgoMs: Infinity, playing: false, muted: false, hasControls: false };
  const base = { ...state, visibleShare: 0.1, opacity: 1, isDecoration: false };
  const ranked = [
    { ...base, hovered: true },
    { ...base, clickedAgoMs: 1000 },
    { ...base, playing: true },
    { ...base, visibleShare: 0.4 },
    { ...base, hasControls: true },
    base,
    { ...base, hovered: true, playing: true, muted: true, visibleShare: 1, isDecoration: true },
    { ...base, playing: true, muted: true, visibleShare: 1, opacity: 0 },
  ];
  const scores = ranked.map(score);
  assert.deepEqual(
    scores,
    [...scores].sort((a, b) => b - a),
  );
});

test("a saved page holds no markup from a server", () => {
  const json = read("../assets/report.json");
  json.source.title = json.models[0].name = '<script>alert("1")</script>';
  json.provenance.credentials.signer = json.provenance.site.label = json.source.title;
  const report = parseReport(json);
  if (report.status !== "ok") throw new Error("unreachable");
  const html = toHtml(report, toTranslate(read("../../extension/_locales/en/messages.json")), {
    lang: "en",
    dir: "ltr",
  });
  assert.doesNotMatch(html, /<script/);
  assert.ok(html.includes("Likely deepfake"));
  assert.equal(escapeHtml(`<a b="c" d='e'>&`), "&#60;a b=&#34;c&#34; d=&#39;e&#39;&#62;&#38;");
});

test("arrow keys go along the timeline and stop at its ends", () => {
  const keys = ["ArrowRight", "ArrowLeft", "Home", "End", "a"];
  assert.deepEqual(
    keys.map((key) => nextIndex(key, 1, 3)),
    [2, 0, 0, 2, -1],
  );
  assert.deepEqual([nextIndex("ArrowRight", 2, 3), nextIndex("ArrowLeft", 0, 3)], [2, 0]);
});

test("a Space is given as an address or as owner/name", () => {
  for (const [given, address] of /** @type {const} */ ([
    ["http://127.0.0.1:7860/", "http://127.0.0.1:7860"],
    [" https://my.example/space/ ", "https://my.example/space"],
    ["Some-One/My_Space", "https://some-one-my-space.hf.space"],
    ["https://huggingface.co/spaces/a/b", "https://a-b.hf.space"],
    ["ftp://x", null],
    ["", null],
    ["javascript:1", null],
  ]))
    assert.equal(spaceAddress(given), address);
  assert.equal(originPattern("http://127.0.0.1:7860"), "http://127.0.0.1/*");
});

test("checks are done on this computer where that is possible, unless a Space was chosen", () => {
  const space = "https://a.example";
  for (const [settings, ifPossible, otherwise] of /** @type {const} */ ([
    [{}, true, false],
    [{ space }, false, false],
    [{ space, place: "local" }, true, true],
    [{ place: "space" }, false, false],
  ])) {
    const uses = [true, false].map((isPossible) => usesOnDevice({ ...DEFAULTS, ...settings }, isPossible));
    assert.deepEqual(uses, [ifPossible, otherwise]);
  }
  assert.equal(toSettings({ place: "elsewhere" }).place, "auto");
});

test("invalid settings get their defaults", () => {
  for (const stored of [
    null,
    7,
    [],
    { space: "nowhere", consent: "maybe", hover: "yes", historySize: -1, language: 3 },
  ])
    assert.deepEqual(toSettings(stored), DEFAULTS);
  assert.equal(toSettings({ historySize: 1e9 }).historySize, 500);
});
