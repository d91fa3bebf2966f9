/**
 * One check on this computer, from captured pictures to the report of the contract, as unmask/check.py. Pictures
 * pass through window by window; only small crops are kept. Networks and the picture codec are given.
 *
 * @typedef {import("./clips.js").Clip} Clip
 * @typedef {import("./clips.js").Person} Person
 * @typedef {import("./face-detector.js").Network} Network
 * @typedef {import("./face-detector.js").Networks} Networks
 * @typedef {import("./image-ops.js").Picture} Picture
 * @typedef {import("./verdict.js").ClipScore} ClipScore
 * @typedef {import("../background/space-client.js").Frame} Frame
 *
 * @typedef {object} Config config.json
 * @property {string} name
 * @property {string} revision
 * @property {import("./clips.js").ClipSpec} clip
 * @property {import("./verdict.js").Calibration} calibration
 * @property {import("./verdict.js").Policy} policy
 *
 * @typedef {object} Kit
 * @property {Config} config
 * @property {Networks & {model: Network, heat: Network}} networks
 * @property {(jpeg: string) => Promise<Picture>} decode base64
 * @property {(picture: Picture, quality: number) => Promise<string>} encode to base64 JPEG; quality 0..1
 *
 * @typedef {object} Judged a clip and what the model says of it
 * @property {ClipScore} score
 * @property {Clip} clip
 * @property {number[]} alone a logit of each of its pictures, alone
 *
 * @typedef {object} Asked
 * @property {AsyncIterable<Frame[]> | Frame[][]} windows
 * @property {string} pageUrl
 * @property {string} title
 *
 * @typedef {(stage: string, fraction: number) => void} OnProgress
 */

import { SCHEMA } from "../shared/report.js";
import { arrange, People, spread, toInput, WINDOWS } from "./clips.js";
import { heatmap, paint } from "./saliency.js";
import { detect } from "./face-detector.js";
import { cropSharpness } from "./tracking.js";
import { crowdShift, decide, decidingFaces, toLogOdds, toProbability } from "./verdict.js";

const MILD_JPEG = 0.7;
const SHOWN_JPEG = 0.88;
const MAX_BOXES = 64; // of one person in a report
const FEW_FRAMES = 16;
/** Stages in their order, with the share of the whole bar at which each begins. @type {Record<string, number>} */
const BEGINS = { decode: 0, faces: 0, model: 0.85, explain: 0.95, done: 1 };

/** @param {Asked} asked @param {Kit} kit @param {OnProgress} onProgress @returns {Promise<Record<string, unknown>>} */
export async function check(asked, kit, onProgress) {
  const clock = new Clock();
  const { policy } = kit.config;
  const { people, judged, size } = await look(asked, kit, clock, onProgress);
  const scores = judged.map(({ score }) => score);
  const first = decide(scores, policy, people.excluded);
  const sure = judged.filter(({ score }) => decidingFaces(first).includes(score.face));
  const verdict = decide(scores, policy, people.excluded, await scoreAgain(sure, kit, clock, onProgress));
  onProgress("explain", BEGINS.explain ?? 1);
  const faces = [];
  for (const face of verdict.faces) {
    const person = /** @type {Person} */ (people.all.find(({ id }) => id === face.id));
    const own = judged.filter(({ score }) => score.face === face.id);
    faces.push(await clock.time("explain", () => describe(face, person, own, kit)));
  }
  return {
    schema: SCHEMA,
    status: "ok",
    source: { kind: "frames", name: asked.pageUrl || asked.title || "captured frames", url: asked.pageUrl, title: asked.title || null, extractor: null, duration_seconds: null, ...size, sha256: null },
    verdict: {
      label: verdict.label,
      probability_fake: probability(verdict.probability),
      face_id: verdict.face,
      reasons: verdict.reasons,
      text: verdict.text,
      band: [policy.real_below, policy.fake_above],
    },
    models: [{ name: kit.config.name, revision: kit.config.revision, probability_fake: probability(verdict.alone), runtime: "browser" }],
    faces,
    timeline: timeline(scores, policy),
    coverage: { frames: people.frames, frames_with_face: people.framesWithFace, analysed_seconds: milli(people.analysedSeconds), start_seconds: 0, end_seconds: null, offset_seconds: 0 },
    timing_seconds: clock.read(),
    warnings: warnings(people),
  };
}

/** Decode window by window, find the people and judge them, while the next is on its way. @param {Asked} asked @param {Kit} kit @param {Clock} clock @param {OnProgress} onProgress */
async function look({ windows }, kit, clock, onProgress) {
  const { config, networks, decode } = kit;
  const people = new People(config.clip);
  /** @type {Judged[]} */
  const judged = [];
  const total = WINDOWS * config.clip.frames_per_clip; // at most
  let [done, width, height] = [0, 0, 0];
  for await (const frames of inWindows(windows, config.clip)) {
    onProgress("faces", (BEGINS.model ?? 1) * Math.min(1, done / total));
    const pictures = await clock.time("decode", () => Promise.all(frames.map(({ jpeg }) => decode(jpeg))));
    const window = { pictures, seconds: frames.map(({ seconds }) => seconds) };
    done += pictures.length;
    [width, height] = [width || (pictures[0]?.width ?? 0), height || (pictures[0]?.height ?? 0)];
    const faces = await clock.time("faces", () => detect(window.pictures, networks));
    for (const { id, clip } of people.add(window, faces)) judged.push(await clock.time("model", () => judge(id, clip, kit)));
  }
  return { people, judged, size: { width, height } };
}

/** What came together, in order and parted where the time leaps. @param {Asked["windows"]} windows @param {import("./clips.js").ClipSpec} spec */
async function* inWindows(windows, spec) {
  for await (const frames of windows) {
    const ordered = [...new Map(frames.map((frame) => [frame.seconds, frame]))].map(([, frame]) => frame).sort((a, b) => a.seconds - b.seconds);
    for (const indices of arrange(ordered.map(({ seconds }) => seconds), spec)) yield indices.flatMap((index) => ordered[index] ?? []);
  }
}

/** What the model says of a clip. @param {number} face @param {Clip} clip @param {Kit} kit @returns {Promise<Judged>} */
async function judge(face, clip, { config, networks }) {
  const { data, shape } = toInput(clip.pictures, config.clip);
  const { logit, alone } = await networks.model(data, shape);
  const [start = 0, end = start] = [clip.seconds[0], clip.seconds.at(-1)];
  const score = { face, start, end, frames: clip.pictures.length, sharpness: cropSharpness(clip.pictures), logOdds: toLogOdds(config.calibration, logit?.data[0] ?? NaN) };
  return { score, clip, alone: [...(alone?.data ?? [])] };
}

/** The same clips after a mild compression. @param {readonly Judged[]} judged @param {Kit} kit @param {Clock} clock @param {OnProgress} onProgress @returns {Promise<ClipScore[]>} */
async function scoreAgain(judged, kit, clock, onProgress) {
  const [begin, end] = [BEGINS.model ?? 0, BEGINS.explain ?? 1];
  const scores = [];
  for (const { score, clip } of judged) {
    onProgress("model", begin + (end - begin) * (scores.length / judged.length));
    scores.push((await clock.time("model", async () => judge(score.face, await recompressed(clip, kit), kit))).score);
  }
  return scores;
}

/** As one more upload would do to it. @param {Clip} clip @param {Kit} kit @returns {Promise<Clip>} */
async function recompressed({ pictures, seconds }, { encode, decode }) {
  const spoil = async (/** @type {Picture} */ picture) => decode(await encode(picture, MILD_JPEG));
  return { pictures: await Promise.all(pictures.map(spoil)), seconds };
}

// --- report

/** A face with its picture where it looks worst. @param {import("./verdict.js").FaceVerdict} face @param {Person} person @param {readonly Judged[]} judged @param {Kit} kit */
async function describe(face, person, judged, { config, networks, encode }) {
  const { clip, alone } = judged.reduce((a, b) => (b.score.logOdds > a.score.logOdds ? b : a));
  const index = alone.indexOf(Math.max(...alone));
  const shown = /** @type {Picture} */ (clip.pictures[index]);
  const jpeg = async (/** @type {Picture} */ picture) => `data:image/jpeg;base64,${await encode(picture, SHOWN_JPEG)}`;
  const times = person.seen.map(({ seconds }) => seconds);
  return {
    id: face.id,
    probability_fake: probability(face.probability),
    label: face.label,
    reasons: face.reasons,
    first_seconds: milli(Math.min(...times)),
    last_seconds: milli(Math.max(...times)),
    boxes: spread(person.seen, MAX_BOXES).map(({ seconds, box }) => ({ seconds: milli(seconds), xyxy: box.map((value) => Math.round(10 * value) / 10) })),
    thumbnail: await jpeg(shown),
    heatmap: await jpeg(paint(shown, await heatmap(shown, config.clip, networks))),
    picture_seconds: milli(clip.seconds[index] ?? 0),
  };
}

/** @param {readonly ClipScore[]} scores @param {import("./verdict.js").Policy} policy */
function timeline(scores, policy) {
  const crowd = crowdShift(new Set(scores.map(({ face }) => face)).size, policy);
  return [...scores]
    .sort((a, b) => a.start - b.start || a.face - b.face)
    .map(({ face, start, end, logOdds }) => ({ start_seconds: milli(start), end_seconds: milli(end), face_id: face, probability_fake: probability(toProbability(logOdds - crowd)) }));
}

/** @param {People} people */
function warnings({ all, framesWithFace, tooMany }) {
  return [
    ...(tooMany ? [`There are more people than can be judged at once: only ${all.length} were.`] : []),
    ...(all.length && framesWithFace < FEW_FRAMES ? [`Only ${framesWithFace} frames with a face could be looked at.`] : []),
    "The pictures were captured in a browser and compressed again; fine traces may be lost.",
  ];
}

/** @param {number | null} value */
function probability(value) {
  return value === null ? null : Math.round(1e4 * value) / 1e4;
}

/** @param {number} seconds */
function milli(seconds) {
  return Math.round(1000 * seconds) / 1000;
}

/** Wall time of each stage. */
class Clock {
  #begun = performance.now();
  /** @type {Record<string, number>} */
  #spent = { fetch: 0, decode: 0, faces: 0, model: 0, explain: 0 };

  /** @template T @param {string} stage @param {() => Promise<T>} work @returns {Promise<T>} */
  async time(stage, work) {
    const begun = performance.now();
    const result = await work();
    this.#spent[stage] = (this.#spent[stage] ?? 0) + performance.now() - begun;
    return result;
  }

  read() {
    const all = { ...this.#spent, total: performance.now() - this.#begun };
    return Object.fromEntries(Object.entries(all).map(([stage, ms]) => [stage, milli(ms / 1000)]));
  }
}
