import assert from "node:assert/strict";
import test from "node:test";

import { captureTab } from "../../extension/background/browser.js";

test("captures of the tab that are requested together keep the pace that browsers allow", async () => {
  /** @type {number[]} */
  const taken = [];
  const captureVisibleTab = () => Promise.resolve(taken.push(performance.now())).then(() => "data:image/jpeg;base64,");
  Object.assign(globalThis, { chrome: { tabs: { captureVisibleTab } } });
  const asked = performance.now();
  await Promise.all([captureTab(1), captureTab(2), captureTab(1)]);
  const [first = NaN, second = NaN, third = NaN] = taken;
  assert.ok(first - asked < 500, "the first waits for none");
  assert.ok(third - first > 1000, "three in a second are refused");
  assert.ok(second - first > 500 && third - second > 500);
});
