import assert from "node:assert/strict";
import test from "node:test";

import { captureTab } from "../../extension/background/background-browser.js";
import { requestWithRetries } from "../../extension/page/check-request.js";

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

test("a page asks again where the background was ended, and not where it has failed or is gone", async () => {
  const ask = async (/** @type {unknown[]} */ answers, id = "own") => {
    const sendMessage = async () => {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    };
    Object.assign(globalThis, { chrome: { runtime: { id, sendMessage } } });
    return [await requestWithRetries({ type: "handshake" }), answers.length];
  };
  const ended = new Error("Could not establish connection. Receiving end does not exist.");
  assert.deepEqual(await ask([ended, undefined, { hover: true }]), [{ hover: true }, 0]);
  assert.deepEqual(await ask([{ problem: "no storage" }, { hover: true }]), [null, 1]);
  assert.deepEqual(await ask([ended, { hover: true }], ""), [null, 1]);
});
