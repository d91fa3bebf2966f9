/**
 * One check on this computer: captured frames -> the report of the contract, as in Python's `pipeline.py`. Frames
 * pass through window by window; only small crops are kept. The networks and the JPEG codec are given.
 *
 * @import { Clip } from "./clips.js"
 * @import { Network, Networks } from "./face-detector.js"
 * @import { RgbImage } from "./image-ops.js"
 * @import { Subject } from "./subjects.js"
 * @import { ClipScore, Policy, Verdict } from "./verdict.js"
 * @import { Frame } from "../shared/messages.js"
 *
 * @typedef {object} Config config.json
 * @property {string} name
 * @property {string} revision
 * @property {import("./clips.js").ClipSpec} clip
 * @property {import("./verdict.js").Calibration} calibration
 * @property {Policy} policy
 *
 * @typedef {object} Detector
 * @property {Config} config
 * @property {Networks & {model: Network, heat: Network}} networks
 * @property {Float32Array} projection of appearances
 * @property {(jpeg: string) => Promise<RgbImage>} decode base64
 * @property {(image: RgbImage, quality: number) => Promise<string>} encode to base64 JPEG; quality 0..1
 *
 * @typedef {ClipScore & {clip: Clip, frameLogits: number[]}} ScoredClip frameLogits: of each of its frames, alone
 *
 * @typedef {object} CheckRequest
 * @property {AsyncIterable<Frame[]> | Frame[][]} windows
 * @property {string} pageUrl
 * @property {string} title
 *
 * @typedef {(stage: string, fraction: number) => void} OnProgress
 */

import constants from "../shared/constants.js";
import { ON_DEVICE } from "../shared/report.js";
import { computeHeatmap, overlayHeatmap } from "./saliency.js";
import { toInput } from "./clips.js";
import { detectFaces } from "./face-detector.js";
import { groupIntoWindows, splitBySize, spreadEvenly } from "./frame-windows.js";
import { SubjectTracker } from "./subjects.js";
import { cropSharpness } from "./tracking.js";
import { UprightFinder } from "./upright.js";
import { judge, labelOf, multiFaceCorrection, toLogOdds, toProbability } from "./verdict.js";

const { WINDOWS } = constants.sampling;
const { RECOMPRESSION_JPEG_QUALITY, SHOWN_JPEG_QUALITY, MAX_BOXES, FEW_FRAMES } = constants.pipeline;
/** Share of the progress bar at which each stage starts. */
const STAGE_STARTS = { faces: 0, model: 0.85, explain: 0.95 };

/**
 * Check captured frames.
 * @param {CheckRequest} request
 * @param {Detector} detector
 * @param {OnProgress} onProgress
 */
export async function checkFrames({ windows, pageUrl, title }, detector, onProgress) {
  const timer = new StageTimer();
  const { policy, name, revision } = detector.config;
  const { tracker, scores, size, hdr } = await scoreWindows(windows, detector, timer, onProgress);
  const rescore = (/** @type {ScoredClip[]} */ clips) => scoreRecompressed(clips, detector, timer, onProgress);
  const verdict = await judge(scores, policy, tracker.excluded, rescore);
  onProgress("explain", STAGE_STARTS.explain);
  const faces = [];
  for (const face of verdict.faces) {
    const subject = /** @type {Subject} */ (tracker.subjects.find(({ id }) => id === face.id));
    const clips = scores.filter((score) => score.face === face.id);
    faces.push(await timer.time("explain", () => faceReport(face, subject, clips, detector)));
  }
  return {
    schema: constants.report.SCHEMA,
    status: "ok",
    source: {
      kind: "frames",
      name: pageUrl || title || "captured frames",
      url: pageUrl,
      title: title || null,
      extractor: null,
      duration_seconds: null,
      ...size,
      sha256: null,
    },
    verdict: verdictReport(verdict, policy),
    models: [{ name, revision, probability_fake: roundProbability(verdict.uncapped) }],
    faces,
    timeline: timelineReport(scores, policy),
    provenance: null, // pictures of a player carry none; what the page says is added where the report is shown
    compute: { backend: "onnxruntime", device: ON_DEVICE, precision: "float32" },
    coverage: coverageReport(tracker),
    timing_seconds: timer.read(),
    warnings: warnings(tracker, hdr),
  };
}

/**
 * Decode, track and score window by window, while the next is on its way.
 * @param {CheckRequest["windows"]} windows
 * @param {Detector} detector
 * @param {StageTimer} timer
 * @param {OnProgress} onProgress
 */
async function scoreWindows(windows, detector, timer, onProgress) {
  const { config, networks, projection, decode } = detector;
  const tracker = new SubjectTracker(config.clip, projection);
  const upright = new UprightFinder((images) => detectFaces(images, networks));
  /** @type {ScoredClip[]} */
  const scores = [];
  const maxFrames = WINDOWS * config.clip.frames_per_clip;
  let [width, height, hdr] = [0, 0, false];
  for await (const frames of regroup(windows, config.clip)) {
    onProgress("faces", STAGE_STARTS.model * Math.min(1, tracker.frames / maxFrames));
    const decoded = await timer.time("decode", () => Promise.all(frames.map(({ jpeg }) => decode(jpeg))));
    hdr ||= frames.some((frame) => frame.hdr);
    [width, height] = [width || (decoded[0]?.width ?? 0), height || (decoded[0]?.height ?? 0)];
    const seconds = frames.map((frame) => frame.seconds);
    for (const part of splitBySize(decoded)) {
      const clips = await timer.time("faces", async () => {
        const { images, turns, faces } = await upright.find(part);
        return tracker.add({ images, seconds: seconds.splice(0, part.length), turns }, faces);
      });
      for (const { id, clip } of clips) scores.push(await timer.time("model", () => scoreClip(id, clip, detector)));
    }
  }
  return { tracker, scores, size: { width, height }, hdr };
}

/**
 * Sort the frames of each window that was sent, and split it where there is a gap in time.
 * @param {CheckRequest["windows"]} windows
 * @param {import("./clips.js").ClipSpec} spec
 */
async function* regroup(windows, spec) {
  for await (const frames of windows) {
    const unique = [...new Map(frames.map((frame) => [frame.seconds, frame])).values()];
    const ordered = unique.sort((a, b) => a.seconds - b.seconds);
    const groups = groupIntoWindows(
      ordered.map(({ seconds }) => seconds),
      spec,
    );
    for (const indices of groups) yield indices.flatMap((index) => ordered[index] ?? []);
  }
}

/** @param {number} face @param {Clip} clip @param {Detector} detector @returns {Promise<ScoredClip>} */
async function scoreClip(face, clip, { config, networks }) {
  const { data, shape } = toInput(clip.images, config.clip);
  const { logit, alone } = await networks.model(data, shape);
  const [start = 0, end = start] = [clip.seconds[0], clip.seconds.at(-1)];
  return {
    face,
    start,
    end,
    frames: clip.images.length,
    sharpness: cropSharpness(clip.images),
    logOdds: toLogOdds(config.calibration, logit?.data[0] ?? NaN),
    clip,
    frameLogits: [...(alone?.data ?? [])],
  };
}

/**
 * Score clips again after a mild JPEG compression, as one more upload would do to them.
 * @param {readonly ScoredClip[]} clips
 * @param {Detector} detector
 * @param {StageTimer} timer
 * @param {OnProgress} onProgress
 */
async function scoreRecompressed(clips, detector, timer, onProgress) {
  const { encode, decode } = detector;
  const recompress = async (/** @type {RgbImage} */ image) =>
    decode(await encode(image, RECOMPRESSION_JPEG_QUALITY / 100));
  const { model: begin, explain: end } = STAGE_STARTS;
  const scores = [];
  for (const { face, clip } of clips) {
    onProgress("model", begin + (end - begin) * (scores.length / clips.length));
    const rescore = async () => {
      const images = await Promise.all(clip.images.map(recompress));
      return scoreClip(face, { ...clip, images }, detector);
    };
    scores.push(await timer.time("model", rescore));
  }
  return scores;
}

// --- report

/**
 * Describe a face, with the frame where it looks worst.
 * @param {import("./verdict.js").FaceVerdict} face
 * @param {Subject} subject
 * @param {readonly ScoredClip[]} scores
 * @param {Detector} detector
 */
async function faceReport(face, { boxes }, scores, { config, networks, encode }) {
  const { clip, frameLogits } = scores.reduce((a, b) => (b.logOdds > a.logOdds ? b : a));
  const index = frameLogits.indexOf(Math.max(...frameLogits));
  const worst = /** @type {RgbImage} */ (clip.images[index]);
  const toJpegUrl = async (/** @type {RgbImage} */ image) =>
    `data:image/jpeg;base64,${await encode(image, SHOWN_JPEG_QUALITY / 100)}`;
  const times = boxes.map(({ seconds }) => seconds);
  const toTenths = (/** @type {number} */ value) => Math.round(10 * value) / 10;
  return {
    id: face.id,
    probability_fake: roundProbability(face.probability),
    label: face.label,
    reasons: face.reasons,
    evidence: face.evidence,
    first_seconds: roundSeconds(Math.min(...times)),
    last_seconds: roundSeconds(Math.max(...times)),
    boxes: spreadEvenly(boxes, MAX_BOXES).map(({ seconds, box }) => ({
      seconds: roundSeconds(seconds),
      xyxy: box.map(toTenths),
    })),
    thumbnail: await toJpegUrl(worst),
    heatmap: await toJpegUrl(overlayHeatmap(worst, await computeHeatmap(worst, config.clip, networks))),
    picture_seconds: roundSeconds(clip.seconds[index] ?? 0),
  };
}

/** @param {Verdict} verdict @param {Policy} policy */
function verdictReport(verdict, policy) {
  return {
    label: verdict.label,
    probability_fake: roundProbability(verdict.probability),
    face_id: verdict.face,
    reasons: verdict.reasons,
    text: verdict.text,
    band: [policy.real_below, policy.fake_above],
    evidence: verdict.evidence,
  };
}

/** @param {SubjectTracker} tracker */
function coverageReport(tracker) {
  return {
    frames: tracker.frames,
    frames_with_face: tracker.framesWithFace,
    analysed_seconds: roundSeconds(tracker.analysedSeconds),
    start_seconds: 0,
    end_seconds: null,
    offset_seconds: 0,
  };
}

/** @param {readonly ClipScore[]} scores @param {Policy} policy */
function timelineReport(scores, policy) {
  const correction = multiFaceCorrection(new Set(scores.map(({ face }) => face)).size, policy);
  const ordered = [...scores].sort((a, b) => a.start - b.start || a.face - b.face);
  return ordered.map(({ face, start, end, logOdds }) => {
    const probability = toProbability(logOdds - correction);
    return {
      start_seconds: roundSeconds(start),
      end_seconds: roundSeconds(end),
      face_id: face,
      probability_fake: roundProbability(probability),
      label: labelOf(policy, probability),
    };
  });
}

/** @param {SubjectTracker} tracker @param {boolean} hdr */
function warnings({ subjects, framesWithFace, turned, tooMany }, hdr) {
  const found = ["The pictures were captured in a browser and compressed again; fine traces may be lost."];
  if (subjects.length && framesWithFace < FEW_FRAMES) {
    found.unshift(`Only ${framesWithFace} frames with a face could be looked at.`);
  }
  if (tooMany) found.unshift(`There are more people than can be judged at once: only ${subjects.length} were.`);
  if (turned) {
    found.unshift("The picture lies on its side or upside down: it was turned, so that faces could be found.");
  }
  if (hdr) {
    found.unshift("The video is HDR; its colours were converted to those of an ordinary screen, as players do.");
  }
  return found;
}

/** @param {number | null} value */
function roundProbability(value) {
  return value === null ? null : Math.round(1e4 * value) / 1e4;
}

/** @param {number} seconds */
function roundSeconds(seconds) {
  return Math.round(1000 * seconds) / 1000;
}

/** Wall time of each stage. */
class StageTimer {
  #started = performance.now();
  /** @type {Record<string, number>} ms */
  #spent = { fetch: 0, decode: 0, faces: 0, model: 0, explain: 0 };

  /**
   * @template T
   * @param {string} stage
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async time(stage, work) {
    const started = performance.now();
    const result = await work();
    this.#spent[stage] = (this.#spent[stage] ?? 0) + performance.now() - started;
    return result;
  }

  read() {
    const all = { ...this.#spent, total: performance.now() - this.#started };
    return Object.fromEntries(Object.entries(all).map(([stage, ms]) => [stage, roundSeconds(ms / 1000)]));
  }
}
