import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { ReportCache, cacheKey, MAX_BYTES, trim } from "../../extension/shared/report-cache.js";
import { parseReport } from "../../extension/shared/report.js";
import { Memory } from "./memory.js";

const report = parseReport(JSON.parse(readFileSync(new URL("../assets/report.json", import.meta.url), "utf8")));
if (report.status !== "ok") throw new Error("the example is no report");

const fingerprint = { duration: 61.4, aspect: 16 / 9, url: null, pictures: [] };

test("a report is found again by the shape of its video, with its age", async () => {
  const cache = new ReportCache(new Memory(), () => 1000);
  const key = cacheKey("s", "", "k");
  await cache.save(key, "https://a.example/", report, fingerprint, 10);
  assert.deepEqual(await cache.find(key), { report, fingerprint });
  assert.equal(await cache.find("other"), null);
  const cases = /** @type {const} */ ([
    [{}, "s", 1],
    [{ duration: 61.7 }, "s", 1],
    [{ duration: 62.4 }, "s", 0],
    [{ aspect: 4 / 3 }, "s", 0],
    [{}, "t", 0],
  ]);
  for (const [shape, space, count] of cases) {
    const found = await cache.findSimilar(space, "", { ...fingerprint, ...shape });
    assert.deepEqual(found, count ? [{ key, savedAt: 1000, report, fingerprint }] : []);
  }
});

test("where the storage is full, a report is not kept, and neither is its line in the history", async () => {
  const area = new Memory();
  const cache = new ReportCache(area);
  await cache.save("a", "https://a.example/", report, fingerprint, 10);
  const { set } = area;
  area.set = async (items) => ("report:b" in items ? Promise.reject(new Error("QUOTA_BYTES")) : set(items));
  for (const key of ["b", "c"]) await cache.save(key, "https://a.example/", report, fingerprint, 10);
  assert.deepEqual(
    (await cache.entries()).map(({ key }) => key),
    ["c", "a"],
  );
  assert.equal(await cache.find("b"), null);
});

test("a report without a fingerprint is kept for the history, and is never that of another video", async () => {
  const cache = new ReportCache(new Memory());
  await cache.save(cacheKey("s", "", "k"), "https://a.example/", report, null, 10);
  assert.equal((await cache.entries()).length, 1);
  assert.deepEqual(await cache.findSimilar("s", "", fingerprint), []);
});

test("the same video under another model or Space is another entry", () => {
  const keys = [cacheKey("s", "", "u"), cacheKey("s", "m", "u"), cacheKey("t", "", "u"), cacheKey("s", "", "v")];
  assert.equal(new Set(keys).size, 4);
});

test("a report of a replaced model stays in the history, but is not reused", async () => {
  const cache = new ReportCache(new Memory());
  const [model] = report.models;
  if (!model) throw new Error("the example names no model");
  const newer = { ...report, models: [{ ...model, revision: "newer" }] };
  const save = (/** @type {string} */ space, /** @type {string} */ url, now = report) =>
    cache.save(cacheKey(space, "", url), url, now, { ...fingerprint, duration: url.length }, 10);
  const find = async (/** @type {string} */ url) =>
    (await cache.findSimilar("s", "", { ...fingerprint, duration: url.length })).length;
  await save("s", "https://a.example/");
  await save("s", "https://b.example/long");
  await save("t", "https://c.example/", newer); // what another Space does tells nothing
  assert.equal(await find("https://a.example/"), 1);
  await save("s", "https://b.example/long", newer);
  assert.deepEqual([await find("https://a.example/"), await find("https://b.example/long")], [0, 1]);
  assert.ok(await cache.find(cacheKey("s", "", "https://a.example/")));
});

test("a check made again replaces the older one and comes first", async () => {
  let now = 0;
  const cache = new ReportCache(new Memory(), () => ++now);
  for (const key of ["a", "b", "a"]) await cache.save(key, `https://${key}.example/`, report, null, 10);
  assert.deepEqual(
    (await cache.entries()).map((entry) => [entry.key, entry.savedAt]),
    [
      ["a", 3],
      ["b", 2],
    ],
  );
});

test("above the wanted number, which may be none, the oldest go, index and report", async () => {
  const memory = new Memory();
  const cache = new ReportCache(memory);
  for (const key of ["a", "b", "c"]) await cache.save(key, "https://a.example/", report, null, 2);
  assert.deepEqual(
    (await cache.entries()).map((entry) => entry.key),
    ["c", "b"],
  );
  assert.deepEqual(Object.keys(memory.items).sort(), ["history", "report:b", "report:c"]);
  const none = new Memory();
  await new ReportCache(none).save("a", "https://a.example/", report, null, 0);
  assert.deepEqual(Object.keys(none.items), ["history"]);
});

test("saves at the same time do not lose each other", async () => {
  const cache = new ReportCache(new Memory());
  await Promise.all(["a", "b", "c", "d"].map((key) => cache.save(key, "https://a.example/", report, null, 10)));
  assert.equal((await cache.entries()).length, 4);
});

test("what is removed is gone", async () => {
  const memory = new Memory();
  const cache = new ReportCache(memory);
  for (const key of ["a", "b"]) await cache.save(key, "https://a.example/", report, null, 10);
  await cache.remove(["a"]);
  assert.equal(await cache.find("a"), null);
  assert.deepEqual(Object.keys(memory.items).sort(), ["history", "report:b"]);
});

test("a damaged index reads as an empty one", async () => {
  const memory = new Memory();
  for (const damaged of [7, "x", [1, null, {}], { a: 1 }]) {
    await memory.set({ history: damaged });
    assert.deepEqual(await new ReportCache(memory).entries(), []);
  }
});

test("the size of all reports together is capped", () => {
  const entry = {
    key: "",
    url: "",
    title: "",
    label: /** @type {const} */ ("real"),
    probability: 0,
    models: "",
    way: /** @type {const} */ ("url"),
    savedAt: 0,
    sizeBytes: MAX_BYTES / 2,
    shape: null,
  };
  assert.equal(trim([entry, entry, entry], 100).kept.length, 2);
});
