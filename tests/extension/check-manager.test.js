import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { ReportCache } from "../../extension/shared/report-cache.js";
import { CheckManager } from "../../extension/background/check-manager.js";
import { OnDeviceClient } from "../../extension/background/on-device-client.js";
import { CheckError } from "../../extension/shared/errors.js";
import { connectPorts } from "../../extension/on_device/worker-host.js";
import { isOnDevice } from "../../extension/shared/report.js";
import { SpaceClient } from "../../extension/background/space-client.js";
import { Memory } from "./memory.js";

const REPORT = JSON.parse(readFileSync(new URL("../assets/report.json", import.meta.url), "utf8"));
const URL_A = "https://a.example/";
const shape = { duration: 61.4, aspect: 16 / 9 }; // of the report
const fingerprint = { ...shape, url: null, pictures: [] };

/** A Space whose answers to `job` are given one after the other; the last is repeated. */
class FakeSpace extends SpaceClient {
  submitted = 0;
  isForbidden = false;
  /** @type {string[]} */
  cancelled = [];

  /** @param {(Record<string, unknown> | Error)[]} answers */
  constructor(...answers) {
    super("http://space.example");
    this.answers = answers;
  }

  /** @override */
  async submit() {
    return /** @type {Record<string, unknown>} */ ({ job: `job-${++this.submitted}` });
  }

  /** @override */
  async job() {
    const answer = (this.answers.length > 1 ? this.answers.shift() : this.answers[0]) ?? {};
    if (answer instanceof Error) throw answer;
    return answer;
  }

  /** @override @param {string} id */
  async cancel(id) {
    this.cancelled.push(id);
    return true;
  }

  /** @override @returns {AsyncGenerator<unknown>} */
  async *checkFrames() {
    for (const answer of this.answers) yield answer;
  }
}

const running = { state: "running", stage: "faces", fraction: 0.5, position: 0, report: null };
const done = { state: "done", stage: "done", fraction: 1, position: 0, report: REPORT };
const unknown = {
  state: "failed",
  stage: "queued",
  report: { schema: "unmask.report/1", status: "failed", error: { code: "bad_input", message: "" } },
};

/** @param {FakeSpace} space @param {number} [historySize] */
function setUp(space, historySize = 10) {
  const [session, local] = [new Memory(), new Memory()];
  const clock = { ms: 1_000_000 };
  const now = () => (clock.ms += 1000);
  const worker = () =>
    new CheckManager({
      session,
      cache: new ReportCache(local, now),
      getBackend: async () => {
        if (space.isForbidden) throw new CheckError("permission_needed");
        return { client: space, model: "" };
      },
      getHistorySize: async () => historySize,
      now,
    });
  return { worker, checks: worker(), session, local, clock };
}

test("a check is submitted, polled, and its report remembered with the label of the page", async () => {
  const report = { ...REPORT, provenance: { ...REPORT.provenance, site: null } };
  const space = new FakeSpace(running, { ...done, report });
  const { checks } = setUp(space);
  const site = { name: "a.example", label: "made with AI" };
  const { key, finished } = await checks.start({ url: URL_A, site, fingerprint });
  assert.equal(finished, false);
  assert.deepEqual([(await checks.poll(key)).stage, (await checks.poll(key)).report?.status], ["faces", "ok"]);
  const [again] = await checks.remembered({ type: "remembered", shape, model: "", onSpace: false });
  assert.deepEqual([again?.key, again?.fingerprint], [key, fingerprint]);
  assert.deepEqual(again?.report.status === "ok" && again.report.provenance?.site, site);
});

test("what the Space fetched is not remembered for a player that shows a video of another length", async () => {
  const { checks } = setUp(new FakeSpace(done));
  const short = { ...fingerprint, duration: 20 };
  await checks.poll((await checks.start({ url: URL_A, fingerprint: short })).key);
  for (const duration of [short.duration, shape.duration]) {
    const request = /** @type {const} */ ({ type: "remembered", shape: { ...shape, duration }, model: "" });
    assert.deepEqual(await checks.remembered({ ...request, onSpace: false }), []);
  }
});

test("two players of one page share no check, unless its address is the video's own: many share a job", async () => {
  const space = new FakeSpace(running);
  const { checks } = setUp(space);
  const key = async (isOwn = false) => (await checks.start({ url: URL_A, isOwn })).key;
  const capture = async () => (await checks.startCapture({ url: URL_A, isOwn: true, title: "" })).key;
  assert.equal(new Set(await Promise.all([1, 2, 3].map(() => key(true)))).size, 1);
  assert.equal(space.submitted, 1);
  assert.equal(new Set([await key(), await key(), await capture(), await capture()]).size, 4);
});

test("the background may end at any time: the next one continues the same job", async () => {
  const space = new FakeSpace(running, done);
  const { worker } = setUp(space);
  const { key } = await worker().start({ url: URL_A });
  assert.equal((await worker().poll(key)).stage, "faces");
  assert.equal((await worker().poll(key)).report?.status, "ok");
  assert.equal(space.submitted, 1);
});

test("a Space that is away for a while is polled again, with growing waits", async () => {
  const away = new CheckError("space_unreachable");
  const space = new FakeSpace(away, away, done);
  const { checks } = setUp(space);
  const { key } = await checks.start({ url: URL_A });
  const [first, second, third] = [await checks.poll(key), await checks.poll(key), await checks.poll(key)];
  assert.ok(!first.finished && !second.finished && second.waitMs > first.waitMs);
  assert.equal(third.report?.status, "ok");
});

test("a job is submitted again to a Space that is slow to accept it, or lost the connection to it", async () => {
  for (const code of /** @type {const} */ (["timeout", "space_unreachable"])) {
    const space = new FakeSpace(done);
    const { worker, clock } = setUp(space);
    let asked = 0;
    space.submit = async () => {
      clock.ms += 10_000; // perhaps asleep
      if (++asked <= 2) throw new CheckError(code);
      return { job: "job-1" };
    };
    let snapshot = await worker().start({ url: URL_A });
    for (let round = 0; round < 4 && !snapshot.finished; round++) snapshot = await worker().poll(snapshot.key);
    assert.deepEqual([snapshot.report?.status, asked], ["ok", 3]);
  }
});

test("a Space that refuses the connection is a failure at once, one that stays away in the end", async () => {
  const space = new FakeSpace();
  space.submit = async () => Promise.reject(new CheckError("space_unreachable"));
  const { report } = await setUp(space).checks.start({ url: URL_A });
  assert.equal(report?.status === "failed" && report.error.code, "space_unreachable");
  const { checks } = setUp(new FakeSpace(new CheckError("space_unreachable")));
  let snapshot = await checks.start({ url: URL_A });
  for (let round = 0; round < 20 && !snapshot.finished; round++) snapshot = await checks.poll(snapshot.key);
  assert.equal(snapshot.report?.status === "failed" && snapshot.report.error.code, "space_unreachable");
});

test("a Space that was restarted gets the job once more, and only once", async () => {
  const lost = {
    ...unknown,
    state: "cancelled",
    report: { ...unknown.report, error: { code: "cancelled", message: "" } },
  };
  for (const answer of [unknown, lost]) {
    const space = new FakeSpace(answer);
    const { checks } = setUp(space);
    let snapshot = await checks.start({ url: URL_A });
    for (let round = 0; round < 5 && !snapshot.finished; round++) snapshot = await checks.poll(snapshot.key);
    assert.equal(space.submitted, 2);
    assert.equal(snapshot.report?.status, "failed");
  }
});

test("a failure is not remembered: the next check is a new one", async () => {
  const space = new FakeSpace({ ...done, report: { ...unknown.report, error: { code: "too_long", message: "" } } });
  const { checks } = setUp(space);
  const { key } = await checks.start({ url: URL_A });
  assert.equal((await checks.poll(key)).report?.status, "failed");
  assert.equal((await checks.start({ url: URL_A })).finished, false);
  assert.equal(space.submitted, 2);
});

test("cancelling ends the job on the Space and for every tab", async () => {
  const space = new FakeSpace(running);
  const { checks } = setUp(space);
  const { key } = await checks.start({ url: URL_A });
  await checks.cancel(key);
  assert.deepEqual(space.cancelled, ["job-1"]);
  const { report } = await checks.poll(key);
  assert.equal(report?.status === "failed" && report.error.code, "cancelled");
});

test("where the permission for the Space is taken back midway, the check ends and says so", async () => {
  const codes = [];
  for (const end of /** @type {const} */ (["poll", "cancel"])) {
    const space = new FakeSpace(running);
    const { checks } = setUp(space);
    const { key } = await checks.start({ url: URL_A }, "7 0");
    space.isForbidden = true;
    if (end === "poll") space.answers = [new CheckError("space_unreachable")]; // the request was under way
    await checks[end](key, "7 0");
    const [{ snapshot }] = /** @type {any} */ (await checks.listTab(7));
    assert.equal(snapshot.finished, true);
    codes.push(snapshot.report.error.code);
  }
  assert.deepEqual(codes, ["permission_needed", "cancelled"]);
});

test("one tab that cancels leaves the job to the others", async () => {
  const space = new FakeSpace(running);
  const { checks } = setUp(space);
  const { key } = await checks.start({ url: URL_A, isOwn: true }, "tab 1");
  await checks.start({ url: URL_A, isOwn: true }, "tab 2");
  const { report } = await checks.cancel(key, "tab 1");
  assert.equal(report?.status === "failed" && report.error.code, "cancelled");
  assert.deepEqual(space.cancelled, []);
  assert.equal((await checks.poll(key, "tab 2")).finished, false);
  await checks.cancel(key, "tab 2");
  assert.deepEqual(space.cancelled, ["job-1"]);
});

test("with the history switched off, a tab that polls late still gets the report", async () => {
  const { checks, local } = setUp(new FakeSpace(done), 0);
  const { key } = await checks.start({ url: URL_A });
  await checks.poll(key);
  assert.equal((await checks.poll(key)).report?.status, "ok");
  assert.deepEqual(Object.keys(local.items), ["history"]);
});

test("the history gets nothing that was checked in a private window", async () => {
  const { checks, local } = setUp(new FakeSpace(done));
  const { key } = await checks.start({ url: URL_A, isPrivate: true, fingerprint });
  assert.equal((await checks.poll(key)).report?.status, "ok");
  const frames = await checks.startCapture({ url: URL_A, isPrivate: true });
  while (!(await checks.poll(frames.key)).finished) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(local.items, {});
});

test("captured frames are checked, and whoever gets the report finds it remembered", async () => {
  const { checks, local } = setUp(new FakeSpace(running, REPORT));
  const { set } = local;
  local.set = (items) => new Promise((resolve) => setTimeout(resolve, 20)).then(() => set(items)); // a slow computer
  const { key, stage } = await checks.startCapture({ url: URL_A, title: "" });
  assert.equal(stage, "send");
  assert.equal((await checks.addFrames(key, null, fingerprint)).key, key);
  while (!(await checks.poll(key)).finished) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal((await checks.poll(key)).report?.status, "ok");
  assert.equal((await checks.remembered({ type: "remembered", shape, model: "", onSpace: false })).length, 1);
});

test("records of checks that ended long ago are deleted at the next one, and a tab lists its own", async () => {
  const { checks, session } = setUp(new FakeSpace(REPORT));
  const check = async () => {
    const { key } = await checks.startCapture({ url: URL_A, title: "A clip" }, "7 0");
    await checks.addFrames(key, null);
    await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await check();
  assert.deepEqual(
    (await checks.listTab(7)).map(({ title, snapshot }) => [title, snapshot.report?.status]),
    [["A clip", "ok"]],
  );
  assert.deepEqual(await checks.listTab(70), []);
  checks.now = () => 1e9;
  await check();
  assert.equal(Object.keys(session.items).length, 1);
});

test("where the session's storage is full, records of checks that ended make room", async () => {
  const { checks, session } = setUp(new FakeSpace(done));
  const { set } = session;
  const isFull = () => Object.keys(session.items).length > 1;
  session.set = async (items) => (isFull() ? Promise.reject(new Error("QUOTA_BYTES")) : set(items));
  for (const url of [URL_A, "https://b.example/", "https://c.example/"]) {
    const { key } = await checks.start({ url, isOwn: true });
    assert.equal((await checks.poll(key)).report?.status, "ok");
  }
});

test("captured frames are lost when the background ends, with an error of their own", async () => {
  const space = new FakeSpace();
  space.checkFrames = async function* () {
    yield await new Promise(() => {});
  };
  const { worker } = setUp(space);
  const { key } = await worker().startCapture({ url: URL_A, title: "" });
  const [{ report }, more] = [await worker().poll(key), await worker().addFrames(key, [])];
  assert.deepEqual(more.report, report, "nor does it take more of them");
  assert.equal(report?.status === "failed" && report.error.code, "job_lost");
});

test("a report made on this computer is marked so, and a Space cannot claim it", async () => {
  const claimed = { ...REPORT, compute: { backend: "onnxruntime", device: "browser", precision: "float32" } };
  const isHere = (/** @type {import("../../extension/shared/report.js").Report | null} */ report) =>
    report?.status === "ok" && isOnDevice(report);
  const here = new OnDeviceClient(async () => {
    const [port, worker] = connectPorts();
    worker.onMessage.addListener(
      ({ type }) => type === "check" && worker.postMessage({ type: "report", report: claimed }),
    );
    return port;
  });
  const space = new FakeSpace({ ...done, report: claimed });
  const checks = new CheckManager({
    session: new Memory(),
    cache: new ReportCache(new Memory()),
    getBackend: async (onSpace) => ({ client: onSpace ? space : here, model: "" }),
    getHistorySize: async () => 10,
  });
  const first = await checks.start({ url: URL_A });
  assert.equal(first.report?.status === "failed" && first.report.error.code, "needs_pictures");
  const { key, stage } = await checks.startCapture({ url: URL_A, title: "" });
  assert.equal(stage, "faces");
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(isHere((await checks.poll(key)).report), true);
  const other = await checks.start({ url: URL_A, onSpace: true });
  await new Promise((resolve) => setTimeout(resolve, 350));
  assert.equal(isHere((await checks.poll(other.key)).report), false);
  assert.deepEqual([other.key === key, space.submitted], [false, 1]);
});
