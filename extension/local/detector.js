/**
 * One check on this computer, from captured pictures to the report of the contract, as unmask/check.py. Pictures
 * pass through window by window; only small crops are kept. Networks and the picture codec are given.
 *
 * @typedef {import("./clips.js").Clip} Clip
 * @typedef {import("./clips.js").Person} Person
 * @typedef {import("./faces.js").Network} Network
 * @typedef {import("./faces.js").Networks} Networks
 * @typedef {import("./pixels.js").Picture} Picture
 * @typedef {import("./verdict.js").ClipScore} ClipScore
 * @typedef {import("../space-api.js").Frame} Frame
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
 * @typedef {object} Asked
 * @property {AsyncIterable<Frame[]> | Frame[][]} windows
 * @property {string} pageUrl
 * @property {string} title
 *
 * @typedef {(stage: string, fraction: number) => void} OnProgress
 */

import { SCHEMA } from "../report.js";
import { arrange, People, spread, toInput, WINDOWS } from "./clips.js";
import { heatmap, paint } from "./explain.js";
import { detect } from "./faces.js";
import { cropSharpness } from "./tracks.js";
import { crowdShift, decide, decidingFaces, toLogOdds, toProbability } from "./verdict.js";

const MILD_JPEG = 0.7;
const SHOWN_JPEG = 0.88;
const MAX_BOXES = 64; // of one person in a report
const FEW_FRAMES = 16;
/** Stages in their order, with the share of the whole bar at which each begins. @type {Record<string, number>} */
const BEGINS = { decode: 0, faces: 0, model: 0.6, explain: 0.95, done: 1 };

/** @param {Asked} asked @param {Kit} kit @param {OnProgress} onProgress @returns {Promise<Record<string, unknown>>} */
export async function check(asked, kit, onProgress) {
  const clock = new Clock();
  const { policy } = kit.config;
  const { people, size } = await look(asked, kit, clock, onProgress);
  const scores = await score(people.all, kit, clock, onProgress);
  const first = decide(scores, policy, people.excluded);
  const sure = people.all.filter(({ id }) => decidingFaces(first).includes(id));
  const spoiled = await Promise.all(sure.map((person) => recompressed(person, kit)));
  const again = await score(spoiled, kit, clock, onProgress);
  const verdict = decide(scores, policy, people.excluded, again);
  onProgress("explain", BEGINS.explain ?? 1);
  const faces = [];
  for (const face of verdict.faces) {
    const person = /** @type {Person} */ (people.all.find(({ id }) => id === face.id));
    faces.push(await clock.time("explain", () => describe(face, person, scores, kit)));
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

/** Decode window by window and find the people. @param {Asked} asked @param {Kit} kit @param {Clock} clock @param {OnProgress} onProgress */
async function look({ windows }, { config, networks, decode }, clock, onProgress) {
  const people = new People(config.clip);
  const total = WINDOWS * config.clip.frames_per_clip; // at most
  let [done, width, height] = [0, 0, 0];
  for await (const frames of inWindows(windows, config.clip)) {
    /** @type {import("./tracks.js").Window} */
    const window = { pictures: [], seconds: [] };
    for (const { jpeg, seconds } of frames) {
      onProgress("faces", (BEGINS.model ?? 1) * Math.min(1, done++ / total));
      const picture = await clock.time("decode", () => decode(jpeg));
      window.pictures.push(picture);
      window.seconds.push(seconds);
      [width, height] = [width || picture.width, height || picture.height];
    }
    people.add(window, await clock.time("faces", () => detect(window.pictures, networks)));
  }
  return { people, size: { width, height } };
}

/** What came together, in order and parted where the time leaps. @param {Asked["windows"]} windows @param {import("./clips.js").ClipSpec} spec */
async function* inWindows(windows, spec) {
  for await (const frames of windows) {
    const ordered = [...new Map(frames.map((frame) => [frame.seconds, frame]))].map(([, frame]) => frame).sort((a, b) => a.seconds - b.seconds);
    for (const indices of arrange(ordered.map(({ seconds }) => seconds), spec)) yield indices.flatMap((index) => ordered[index] ?? []);
  }
}

/** Every clip of everybody. @param {readonly Person[]} people @param {Kit} kit @param {Clock} clock @param {OnProgress} onProgress @returns {Promise<ClipScore[]>} */
async function score(people, { config, networks }, clock, onProgress) {
  const waiting = people.flatMap(({ id, clips }) => clips.map((clip) => ({ id, clip })));
  const [begin, end] = [BEGINS.model ?? 0, BEGINS.explain ?? 1];
  /** @type {ClipScore[]} */
  const scores = [];
  for (const { id, clip } of waiting) {
    onProgress("model", begin + (end - begin) * (scores.length / waiting.length));
    const logit = await clock.time("model", () => judge(clip.pictures, config, networks.model));
    const [start = 0, last = start] = [clip.seconds[0], clip.seconds.at(-1)];
    scores.push({ face: id, start, end: last, frames: clip.pictures.length, sharpness: cropSharpness(clip.pictures), logOdds: toLogOdds(config.calibration, logit) });
  }
  return scores;
}

/** @param {readonly Picture[]} pictures @param {Config} config @param {Network} model @returns {Promise<number>} logit */
async function judge(pictures, config, model) {
  const { data, shape } = toInput(pictures, config.clip);
  return (await model(data, shape)).logit?.data[0] ?? NaN;
}

/** As one more upload would do to it. @param {Person} person @param {Kit} kit @returns {Promise<Person>} */
async function recompressed(person, { encode, decode }) {
  const spoil = async (/** @type {Picture} */ picture) => decode(await encode(picture, MILD_JPEG));
  const clips = person.clips.map(async ({ pictures, seconds }) => ({ pictures: await Promise.all(pictures.map(spoil)), seconds }));
  return { ...person, clips: await Promise.all(clips) };
}

// --- report

/** A face with its picture where it looks worst. @param {import("./verdict.js").FaceVerdict} face @param {Person} person @param {readonly ClipScore[]} scores @param {Kit} kit */
async function describe(face, person, scores, { config, networks, encode }) {
  const worst = scores.filter((one) => one.face === face.id).reduce((a, b) => (b.logOdds > a.logOdds ? b : a));
  const clip = /** @type {Clip} */ (person.clips.find(({ seconds }) => seconds[0] === worst.start));
  const alone = [];
  for (const picture of clip.pictures) alone.push(await judge([picture], config, networks.model));
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
    picture_seconds: milli(clip.seconds[index] ?? worst.start),
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
