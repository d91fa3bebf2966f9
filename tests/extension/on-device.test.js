import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { dot, embed } from "../../extension/on_device/appearance.js";
import { cropSquare, squareAround, toInput } from "../../extension/on_device/clips.js";
import { groupIntoWindows, splitBySize } from "../../extension/on_device/frame-windows.js";
import { SubjectTracker } from "../../extension/on_device/subjects.js";
import { computeHeatmap, overlayHeatmap } from "../../extension/on_device/saliency.js";
import { extrapolateBoxes, extractPatch } from "../../extension/on_device/face-detector.js";
import { connectPorts, WorkerHost } from "../../extension/on_device/worker-host.js";
import { gaussianBlur, resize, fullRegion, rgbToRgba, rgbaToRgb } from "../../extension/on_device/image-ops.js";
import { cropSharpness, sharpness, linkTracks } from "../../extension/on_device/tracking.js";
import { turn, turnBack, UprightFinder } from "../../extension/on_device/upright.js";
import { judge, toLogOdds } from "../../extension/on_device/verdict.js";
import { OnDeviceClient } from "../../extension/background/on-device-client.js";
import { CheckError } from "../../extension/shared/errors.js";

/**
 * @import { Box } from "../../extension/on_device/boxes.js"
 * @import { RgbImage } from "../../extension/on_device/image-ops.js"
 */

/** Written by Python: python -m tests.vectors */
const SAID = JSON.parse(readFileSync(new URL("../assets/detector.json", import.meta.url), "utf8"));
const IMAGE = toPicture(SAID.image);
const PROJECTION = new Float32Array(
  readFileSync(new URL("../../extension/models/appearance.bin", import.meta.url)).buffer,
);

/** @param {{width: number, height: number, data: string}} stored @returns {RgbImage} */
function toPicture({ width, height, data }) {
  return { width, height, data: new Uint8Array(Buffer.from(data, "base64")) };
}

/** @param {RgbImage} ours @param {RgbImage} theirs */
function assertAlike(ours, theirs) {
  assert.deepEqual([ours.width, ours.height, ours.data.length], [theirs.width, theirs.height, theirs.data.length]);
  const differences = [...ours.data].map((value, place) => Math.abs(value - (theirs.data[place] ?? 0)));
  assert.ok(Math.max(...differences) <= 1, `differs by ${Math.max(...differences)}`);
}

test("images are resized as by OpenCV, to one step of a byte", () => {
  for (const level of SAID.levels)
    assertAlike(resize(IMAGE, fullRegion(IMAGE), level.width, level.height, "area"), toPicture(level));
});

test("an image passes through a canvas unchanged", () => {
  const rgba = new Uint8ClampedArray(4 * IMAGE.width * IMAGE.height);
  rgbToRgba(IMAGE, rgba);
  assert.deepEqual([...rgba.slice(0, 5)], [...IMAGE.data.slice(0, 3), 255, IMAGE.data[3]]);
  assert.deepEqual(rgbaToRgb({ ...IMAGE, data: rgba }), IMAGE);
});

test("patches of a face are black beyond the image", () => {
  for (const said of SAID.patches) assertAlike(extractPatch(IMAGE, said.box, said.width), toPicture(said));
});

test("crops for the model repeat the edge beyond the image", () => {
  for (const said of SAID.crops) {
    const square = squareAround(said.box, SAID.spec);
    for (const [place, side] of square.entries()) assert.ok(Math.abs(side - said.square[place]) < 1e-3);
    assertAlike(cropSquare(IMAGE, said.square, said.width), toPicture(said));
  }
});

test("the sharpness of a face", () => {
  for (const { box, sharpness: expected } of SAID.details) {
    assert.ok(Math.abs(sharpness(IMAGE, box) - expected) < 0.02 * expected + 0.002);
  }
});

test("the sharpness of the crops of a face", () => {
  for (const { squares, side, sharpness } of SAID.sharpness) {
    const ours = cropSharpness(squares.map((/** @type {Box} */ square) => cropSquare(IMAGE, square, side)));
    assert.ok(Math.abs(ours - sharpness) < 0.02 * sharpness + 0.0005, `${ours}, not ${sharpness}`);
  }
});

test("frames are grouped into the same windows", () => {
  for (const { seconds, windows } of SAID.windows) assert.deepEqual(groupIntoWindows(seconds, SAID.spec), windows);
});

test("a window is split where the size of its pictures changes, also back and by one side alone", () => {
  const images = ["4x3", "4x3", "3x4", "3x3", "3x3", "4x3"].map((name) => {
    const [width = 0, height = 0] = name.split("x").map(Number);
    return { name, width, height };
  });
  const parts = splitBySize(images).map((part) => part.map(({ name }) => name));
  assert.deepEqual(parts, [["4x3", "4x3"], ["3x4"], ["3x3", "3x3"], ["4x3"]]);
  assert.deepEqual(splitBySize([]), []);
});

test("boxes are extrapolated alike between two frames with the same faces", () => {
  for (const { ends, boxes } of SAID.foretold) {
    const [first, last] = ends.map((/** @type {{refined: Box[], places: Box[]}} */ { refined, places }) => ({
      faces: places.map((box) => ({ box, score: 1, landmarks: [] })),
      refined,
    }));
    const found = extrapolateBoxes(first, last, boxes.length);
    assert.deepEqual(
      found.map((some) => some.length),
      boxes.map((/** @type {Box[]} */ some) => some.length),
    );
    for (const [place, value] of found.flat(2).entries()) assert.ok(Math.abs(value - boxes.flat(2)[place]) < 0.02);
    assert.deepEqual(extrapolateBoxes(first, { ...last, faces: [] }, 3), []);
  }
});

test("faces are linked to the same tracks, within a window and from one to the next", () => {
  for (const { seconds, windows } of SAID.tracks) {
    /** @type {Map<number, import("../../extension/on_device/tracking.js").Track>} */
    const known = new Map();
    for (const { boxes, tracks } of windows) {
      const faces = boxes.map((/** @type {Box[]} */ some) => some.map((box) => ({ box, score: 1, landmarks: [] })));
      const found = linkTracks(faces, seconds, [...known.values()]);
      for (const track of found) known.set(track.id, track);
      assert.deepEqual(
        found.map(({ id, detections }) => ({
          id,
          frames: detections.map(({ frame }) => frame),
          first: detections[0]?.box,
        })),
        tracks,
      );
    }
  }
});

test("a face looks the same to both, and like another one no more than there", () => {
  for (const { landmarks, embedding } of SAID.embeddings) {
    assert.ok(dot(embed(IMAGE, landmarks, PROJECTION), embedding) > 0.99);
    for (const other of SAID.embeddings) {
      const difference = dot(embed(IMAGE, landmarks, PROJECTION), other.embedding) - dot(embedding, other.embedding);
      assert.ok(Math.abs(difference) < 0.05, `${difference}`);
    }
  }
});

test("shots are told apart, and people found again in another one by their looks", () => {
  const { kept, windows } = SAID.cast;
  const [width, height] = [4 * IMAGE.width, 4 * IMAGE.height];
  const pixel = (/** @type {number} */ x, /** @type {number} */ y) => {
    const at = 3 * (Math.floor(y / 4) * IMAGE.width + Math.floor(x / 4));
    return IMAGE.data.subarray(at, at + 3);
  };
  /** @type {Record<string, (x: number, y: number) => Uint8Array | Uint8ClampedArray>} */
  const settings = {
    none: pixel,
    inverted: (x, y) => (x < kept && y < kept ? pixel(x, y) : pixel(x, y).map((value) => 255 - value)),
    "upside down": (x, y) => (x < kept && y < kept ? pixel(x, y) : pixel(width - 1 - x, height - 1 - y)),
  };
  const places = Array.from({ length: width * height }, (_, at) => [at % width, Math.floor(at / width)]);
  const scenes = Object.fromEntries(
    Object.entries(settings).map(([name, colour]) => [
      name,
      { width, height, data: Uint8Array.from(places.flatMap(([x = 0, y = 0]) => [...colour(x, y)])) },
    ]),
  );
  const tracker = new SubjectTracker(SAID.spec, PROJECTION);
  for (const { settings, seconds, boxes, landmarks, clips } of windows) {
    const faces = boxes.map((/** @type {Box[]} */ some, /** @type {number} */ frame) =>
      some.map((box, face) => ({ box, score: 1, landmarks: landmarks[frame][face] })),
    );
    const images = settings.map((/** @type {string} */ name) => scenes[name]);
    const seen = tracker.add({ images, seconds, turns: 0 }, faces);
    assert.deepEqual(
      seen.map(({ id, clip }) => [id, clip.seconds[0], clip.seconds.length]),
      clips,
    );
  }
});

test("a face at the place of another in the same setting is somebody else by its looks", () => {
  const [width, height, seconds] = [4 * IMAGE.width, 4 * IMAGE.height, [0, 0.12, 0.24, 0.36, 0.48]];
  const draw = (/** @type {boolean} */ isStriped) => {
    const data = new Uint8Array(3 * width * height);
    for (let at = 0; at < data.length; at++) {
      const [x, y, channel] = [Math.floor(at / 3) % width, Math.floor(at / 3 / width), at % 3];
      const stripe = Math.floor(x / 4) % 2 ? ([255, 80, 40][channel] ?? 0) : 0;
      const plain = IMAGE.data[3 * (Math.floor(y / 4) * IMAGE.width + Math.floor(x / 4)) + channel] ?? 0;
      data[at] = isStriped && x >= 20 && x < 90 && y >= 20 && y < 90 ? stripe : plain;
    }
    return { width, height, data };
  };
  const [box, landmarks] = [SAID.cast.windows[0].boxes[0][0], SAID.cast.windows[0].landmarks[0][0]];
  const tracker = new SubjectTracker(SAID.spec, PROJECTION);
  const seen = [false, true, true, false].flatMap((isStriped, index) => {
    const images = seconds.map(() => draw(isStriped));
    const at = seconds.map((second) => second + 5 * index);
    return tracker.add(
      { images, seconds: at, turns: 0 },
      seconds.map(() => [{ box, score: 1, landmarks }]),
    );
  });
  assert.deepEqual(
    seen.map(({ id }) => id),
    [0, 1, 1, 0],
  );
  assert.equal(tracker.subjects.length, 2);
});

test("pictures are turned until faces are upright, and boxes back", async () => {
  const mark = (/** @type {RgbImage} */ image) => [...image.data.slice(0, 3)].join();
  for (const turns of [0, 1, 2, 3]) {
    const lying = turn(IMAGE, (4 - turns) % 4);
    const detect = async (/** @type {readonly RgbImage[]} */ images) =>
      images.map((image) => {
        const box = /** @type {Box} */ (mark(image) === mark(IMAGE) ? [2, 3, 12, 23] : [3, 2, 23, 12]);
        return [{ box, score: 0.95, landmarks: [] }];
      });
    const upright = new UprightFinder(detect);
    for (const found of [await upright.find([lying, lying]), await upright.find([lying])]) {
      assert.equal(found.turns, turns);
      assert.deepEqual(found.images[0]?.data, new Uint8Array(IMAGE.data));
    }
    const [x1, y1, x2, y2] = turnBack([2, 3, 12, 23], turns, IMAGE);
    const inked = { ...IMAGE, data: new Uint8Array(IMAGE.data.length) };
    for (let y = 3; y < 23; y++) inked.data.fill(1, 3 * (y * IMAGE.width + 2), 3 * (y * IMAGE.width + 12));
    const { width, data } = turn(inked, (4 - turns) % 4);
    const at = [data.indexOf(1) / 3, data.lastIndexOf(1) / 3].map(Math.floor);
    const corners = at.flatMap((place) => [place % width, Math.floor(place / width)]);
    assert.deepEqual([x1, y1, x2 - 1, y2 - 1], corners);
  }
});

test("where nothing is upright, quarter turns are tried in few windows only", async () => {
  let tried = 0;
  const upright = new UprightFinder(async (images) => ((tried += Number(images.length === 1)), images.map(() => [])));
  for (let window = 0; window < 6; window++) assert.equal((await upright.find([IMAGE, IMAGE])).turns, 0);
  assert.equal(tried, 9);
});

test("the verdict is the same, with its text", async () => {
  const toScores = (/** @type {[number, number, number, number, number][]} */ given) =>
    given.map(([face, start, frames, logit, sharpness]) => ({
      face,
      start,
      end: start + 0.12 * (frames - 1),
      frames,
      sharpness,
      logOdds: toLogOdds(SAID.calibration, logit),
    }));
  const labels = new Set();
  const strengths = new Set();
  for (const said of SAID.verdicts) {
    const [scores, recompressed] = [toScores(said.scores), toScores(said.again)];
    const verdict = await judge(scores, SAID.policy, said.excluded, async (deciding) => {
      const ids = new Set(deciding.map(({ face }) => face));
      assert.deepEqual([...ids].sort(), said.deciding);
      return recompressed.filter(({ face }) => ids.has(face));
    });
    const near = (/** @type {number | null} */ a, /** @type {number | null} */ b) =>
      assert.ok(a === b || Math.abs(Number(a) - Number(b)) < 1e-9);
    near(verdict.probability, said.probability);
    near(verdict.uncapped, said.alone);
    assert.deepEqual(
      [verdict.label, verdict.face, verdict.reasons, verdict.text],
      [said.label, said.face, said.reasons, said.text],
    );
    assert.deepEqual(
      verdict.faces.map(({ id, label, reasons }) => [id, label, reasons]).sort(),
      said.faces.map((/** @type {any[]} */ [id, , label, reasons]) => [id, label, reasons]).sort(),
    );
    const evidence = verdict.faces.sort((a, b) => a.id - b.id).map((face) => face.evidence);
    assert.deepEqual(evidence, said.evidence);
    for (const { strength } of evidence) strengths.add(strength);
    labels.add(verdict.label);
    if (verdict.reasons.includes("too_blurred")) labels.add("blurred");
  }
  assert.deepEqual([...labels].sort(), ["blurred", "fake", "no_face", "real", "uncertain"]);
  assert.deepEqual([...strengths].sort(), ["moderate", "none", "strong", "weak"]);
});

test("a logit that is no number raises an error", () => {
  assert.throws(() => toLogOdds(SAID.calibration, NaN), RangeError);
});

test("input is normalised by channel", () => {
  const { data, shape } = toInput([{ width: 1, height: 1, data: Uint8Array.of(255, 0, 0) }], {
    ...SAID.spec,
    side_px: 1,
  });
  const expected = SAID.spec.mean.map(
    (/** @type {number} */ mean, /** @type {number} */ color) => ((color ? 0 : 1) - mean) / SAID.spec.std[color],
  );
  assert.deepEqual(shape, [1, 3, 1, 1]);
  for (const [place, value] of data.entries()) assert.ok(Math.abs(value - expected[place]) < 1e-5);
});

test("blurring is as by OpenCV, to one step of a byte", () => {
  for (const said of SAID.blurs) assertAlike(gaussianBlur(IMAGE, said.sigma), toPicture(said));
});

/** Networks that answer with this heat. @param {number[][]} cells */
function networksSaying(cells) {
  /** @type {Record<"model" | "heat", unknown[]>} */
  const heard = { model: [], heat: [] };
  const model = async (/** @type {Float32Array} */ data, /** @type {number[]} */ shape) => (
    heard.model.push(shape),
    { maps: { data, dims: shape } }
  );
  const heat = async (/** @type {Float32Array} */ data, /** @type {number[]} */ shape) => (
    heard.heat.push(data, shape),
    { heat: { data: Float32Array.from(cells.flat()), dims: [cells.length, cells.length] } }
  );
  return { model, heat, heard };
}

test("the maps of the blurred and of the sharp face make the heatmap, as in Python", async () => {
  for (const { cells, side, heat } of SAID.heats) {
    const face = resize(IMAGE, fullRegion(IMAGE), side, side, "linear");
    const spec = { ...SAID.spec, side_px: side };
    const { heard, ...networks } = networksSaying(cells);
    const ours = await computeHeatmap(face, spec, networks);
    const both = toInput([gaussianBlur(face, side / 32), face], spec);
    assert.deepEqual(heard, { model: [both.shape], heat: [both.data, both.shape] });
    for (const [place, value] of ours.entries()) assert.ok(Math.abs(value - heat.flat()[place]) < 0.01);
  }
});

test("a heatmap of zeros paints nothing, and cold places stay unchanged", async () => {
  const face = resize(IMAGE, fullRegion(IMAGE), 60, 60, "linear");
  const cold = await computeHeatmap(
    face,
    { ...SAID.spec, side_px: 60 },
    networksSaying([
      [0, 0],
      [0, 0],
    ]),
  );
  assert.deepEqual([...overlayHeatmap(face, cold).data], [...face.data]);
  const half = Float32Array.from({ length: 3600 }, (_, place) => (place < 1800 ? 1 : 0));
  const painted = overlayHeatmap(face, half);
  assert.deepEqual([...painted.data.slice(3 * 31 * 60)], [...face.data.slice(3 * 31 * 60)]);
  assert.deepEqual([...painted.data.slice(3 * 29 * 60, 3 * 29 * 60 + 3)], [255, 255, 255]);
  assert.deepEqual([...painted.data.slice(3 * 30 * 60, 3 * 30 * 60 + 3)], [0, 0, 0]);
});

test("a face that is too small or seen too briefly is left out, with the reason", () => {
  const people = new SubjectTracker(SAID.spec, PROJECTION);
  const picture = { width: 56, height: 40, data: IMAGE.data };
  const box = /** @type {Box} */ ([5, 5, 35, 35]);
  people.add(
    { images: Array(8).fill(picture), seconds: [0, 1, 2, 3, 4, 5, 6, 7].map((place) => 0.12 * place), turns: 0 },
    Array.from({ length: 8 }, (_, place) => (place < 2 ? [{ box, score: 1, landmarks: [] }] : [])),
  );
  assert.deepEqual([people.excluded, people.subjects, people.framesWithFace], [["face_too_brief"], [], 2]);
});

/**
 * A worker that answers a moment later: with its title as the report, with an error, or never.
 *
 * @param {{running: number}} count
 */
function fakeWorker(count) {
  count.running++;
  const worker = {
    /** @type {(event: {data: unknown}) => void} */
    onmessage: () => {},
    onerror: () => {},
    postMessage: (/** @type {{title?: string, type: string}} */ { type, title }) => {
      if (type !== "check" || title === "never") return;
      const progress = { type: "progress", stage: "faces", fraction: 0.5 };
      const last = title ? { type: "report", report: title } : { type: "error", message: "no title" };
      setTimeout(() => [progress, last].forEach((data) => worker.onmessage({ data })));
    },
    terminate: () => void count.running--,
  };
  return /** @type {any} */ (worker);
}

/** @param {number} [idleMs] */
function setUp(idleMs = 5000) {
  const count = { running: 0, idle: 0 };
  const host = new WorkerHost(
    () => count.idle++,
    () => fakeWorker(count),
    idleMs,
  );
  const client = new OnDeviceClient(async () => {
    const [port, other] = connectPorts();
    host.serve(other);
    return port;
  });
  const check = async (/** @type {string} */ title, signal = new AbortController().signal) => {
    const items = [];
    for await (const item of client.checkFrames({ windows: [], pageUrl: "", title }, signal)) items.push(item);
    return items;
  };
  return { count, client, check };
}

const hasCode = (/** @type {string} */ code) => (/** @type {unknown} */ error) =>
  error instanceof CheckError && error.code === code;

test("checks on this computer take captured frames only, tell their progress, and end with the report", async () => {
  const { client, check } = setUp();
  await assert.rejects(client.submit(), hasCode("needs_pictures"));
  assert.deepEqual(await check("A speech"), [{ type: "progress", stage: "faces", fraction: 0.5 }, "A speech"]);
});

test("the worker is started when needed, ended when idle, left or broken, and checks one after the other", async () => {
  const { count, check } = setUp(20);
  assert.equal(count.running, 0);
  assert.deepEqual(
    (await Promise.all([check("a"), check("b")])).map((items) => items.at(-1)),
    ["a", "b"],
  );
  assert.equal(count.running, 1);
  await assert.rejects(check(""), hasCode("internal"));
  assert.equal(count.running, 0);
  const leaving = new AbortController();
  const left = check("never", leaving.signal);
  setTimeout(() => leaving.abort(), 5);
  await assert.rejects(left, hasCode("cancelled"));
  assert.equal(count.running, 0);
  assert.equal((await check("c")).at(-1), "c");
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.deepEqual([count.running, count.idle], [0, 1]);
});
