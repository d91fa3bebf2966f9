/**
 * Logits -> calibrated scores -> verdict, as in Python's `verdict.py` for one model. Pure.
 *
 * @typedef {object} Calibration of config.json
 * @property {number} temperature
 * @property {number} bias
 *
 * @typedef {object} Policy of config.json
 * @property {number} real_below
 * @property {number} fake_above
 * @property {number} min_frames
 * @property {number} min_clips
 * @property {number} min_sharpness
 * @property {number} max_contrary
 * @property {number} max_drift
 * @property {number} trim
 * @property {number} crowd_weight
 * @property {import("./evidence.js").EvidenceScale} evidence
 *
 * @typedef {object} ClipScore what the model says of one clip of one face
 * @property {number} face
 * @property {number} start seconds
 * @property {number} end
 * @property {number} frames
 * @property {number} sharpness of the crops that the model was given
 * @property {number} logOdds calibrated
 *
 * @typedef {"fake" | "real" | "uncertain"} Label
 * @import { Evidence } from "../shared/report.js"
 * @typedef {{id: number, probability: number, label: Label, reasons: string[], evidence: Evidence}} FaceVerdict
 *
 * @typedef {object} Verdict
 * @property {Label | "no_face"} label
 * @property {number | null} probability null when, and only when, no face was scored
 * @property {number | null} face the one that decided
 * @property {string[]} reasons codes
 * @property {string} text
 * @property {Evidence | null} evidence of the face that decided
 * @property {FaceVerdict[]} faces most suspicious first
 * @property {number | null} uncapped probability before anything is moved into the abstain band
 */

import constants from "../shared/constants.js";
import { formatClock, formatPercent } from "../shared/labels.js";
import { evidenceText, grade } from "./evidence.js";
import { median } from "./tracking.js";

const { MAX_LOG_ODDS } = constants.pipeline;

/**
 * Calibrate a logit.
 * @param {Calibration} calibration
 * @param {number} logit
 * @throws {RangeError} when it is not finite
 */
export function toLogOdds({ temperature, bias }, logit) {
  if (!Number.isFinite(logit)) throw new RangeError(`a model gave ${logit}`);
  return Math.min(Math.max(logit / temperature + bias, -MAX_LOG_ODDS), MAX_LOG_ODDS);
}

/** Convert log-odds to a probability. @param {number} logOdds */
export function toProbability(logOdds) {
  return 1 / (1 + Math.exp(-logOdds));
}

/**
 * Label a probability that is not rounded; the ends of the abstain band belong to it.
 * @param {Policy} policy
 * @param {number} probability
 * @returns {Label}
 */
export function labelOf({ real_below, fake_above }, probability) {
  if (probability > fake_above) return "fake";
  return probability < real_below ? "real" : "uncertain";
}

/**
 * Judge a video: first pass, second look at the deciding faces after re-compression, decision.
 * @template {ClipScore} T
 * @param {readonly T[]} scores
 * @param {Policy} policy
 * @param {readonly string[]} excluded why faces were left out, as codes
 * @param {(scores: T[]) => Promise<ClipScore[]>} rescore the same clips, mildly re-compressed
 * @returns {Promise<Verdict>}
 */
export async function judge(scores, policy, excluded, rescore) {
  const deciding = decidingFaces(judgeOnePass(scores, policy, excluded));
  const recompressed = await rescore(scores.filter(({ face }) => deciding.includes(face)));
  return judgeOnePass(scores, policy, excluded, recompressed);
}

/**
 * Decide on one verdict from all clips of all faces.
 * @param {readonly ClipScore[]} scores
 * @param {Policy} policy
 * @param {readonly string[]} excluded why faces were left out, as codes
 * @param {readonly ClipScore[]} [recompressed] of the deciding faces
 * @returns {Verdict}
 */
function judgeOnePass(scores, policy, excluded, recompressed = []) {
  const leftOut = [...new Set(excluded)].sort();
  const ids = [...new Set(scores.map(({ face }) => face))].sort((a, b) => a - b);
  const correction = multiFaceCorrection(ids.length, policy);
  const of = (/** @type {readonly ClipScore[]} */ some, /** @type {number} */ id) =>
    some.filter(({ face }) => face === id);
  const faces = ids.map((id) => judgeFace(id, of(scores, id), of(recompressed, id), correction, policy));
  const [highest] = faces.sort((a, b) => b.probability - a.probability);
  if (!highest) {
    const reasons = leftOut.length ? leftOut : ["no_face"];
    return {
      label: "no_face",
      probability: null,
      face: null,
      reasons,
      text: noFaceText(leftOut),
      evidence: null,
      faces,
      uncapped: null,
    };
  }
  return {
    label: highest.label,
    probability: highest.probability,
    face: highest.id,
    reasons: [...highest.reasons, ...(correction > 0 ? ["several_people"] : []), ...leftOut],
    text: verdictText(highest, faces, of(scores, highest.id)),
    evidence: highest.evidence,
    faces,
    uncapped: toProbability(Math.max(...ids.map((id) => pool(of(scores, id), policy.trim))) - correction),
  };
}

/**
 * List the faces that an answer stands on; none without an answer.
 * @param {Verdict} verdict
 * @returns {number[]} ids
 */
function decidingFaces({ label, face, faces }) {
  if (face === null || label === "uncertain") return [];
  const fakes = faces.filter((one) => one.label === "fake").map(({ id }) => id);
  return fakes.length ? fakes : [face];
}

/**
 * Pool the clips of one face into log-odds: mean weighted by frames, outlying ends ignored.
 * @param {readonly ClipScore[]} scores
 * @param {number} trim share that is ignored at either end
 */
function pool(scores, trim) {
  const ordered = [...scores].sort((a, b) => a.logOdds - b.logOdds || a.frames - b.frames);
  const total = ordered.reduce((sum, { frames }) => sum + Math.max(frames, 1), 0);
  const within = (/** @type {number} */ edge) => Math.min(Math.max(edge, trim), 1 - trim);
  let [sum, width, end] = [0, 0, 0];
  for (const { logOdds, frames } of ordered) {
    const begin = end;
    end += Math.max(frames, 1);
    const share = within(end / total) - within(begin / total);
    [sum, width] = [sum + logOdds * share, width + share];
  }
  return sum / width;
}

/**
 * Compute what each of n faces loses, in log-odds: one of n is the fake one with a prior of 1/n.
 * @param {number} faces
 * @param {Policy} policy
 */
export function multiFaceCorrection(faces, policy) {
  return policy.crowd_weight * Math.log(Math.max(faces, 1));
}

/**
 * @param {number} id
 * @param {readonly ClipScore[]} scores
 * @param {readonly ClipScore[]} recompressed
 * @param {number} correction
 * @param {Policy} policy
 * @returns {FaceVerdict}
 */
function judgeFace(id, scores, recompressed, correction, policy) {
  const logOdds = pool(scores, policy.trim) - correction;
  const uncapped = toProbability(logOdds);
  const firstLabel = labelOf(policy, uncapped);
  const reasons = abstainReasons(scores, correction, firstLabel, policy);
  if (recompressed.length) {
    const shift = logOdds - (pool(recompressed, policy.trim) - correction);
    if ({ fake: shift, real: -shift, uncertain: 0 }[firstLabel] > policy.max_drift) reasons.push("unstable");
  }
  const abstains = reasons.length > 0 && (firstLabel === "real" || reasons.join() !== "mixed_over_time");
  const probability = abstains ? Math.min(Math.max(uncapped, policy.real_below), policy.fake_above) : uncapped;
  const label = labelOf(policy, probability);
  const scoreReason = { fake: "score_high", real: "score_low", uncertain: "score_between" }[firstLabel];
  const evidence = grade(logOdds, label, reasons.length > 0, policy.evidence);
  return { id, probability, label, reasons: label === firstLabel ? [scoreReason, ...reasons] : reasons, evidence };
}

/**
 * @param {readonly ClipScore[]} scores
 * @param {number} correction
 * @param {Label} label
 * @param {Policy} policy
 * @returns {string[]} codes
 */
function abstainReasons(scores, correction, label, policy) {
  const frames = countFrames(scores);
  const opposite = { fake: "real", real: "fake", uncertain: null }[label];
  const contrary = countFrames(
    scores.filter(({ logOdds }) => labelOf(policy, toProbability(logOdds - correction)) === opposite),
  );
  const found = [];
  if (frames < policy.min_frames || scores.length < policy.min_clips) found.push("too_few_frames");
  if (median(scores.map(({ sharpness }) => sharpness)) < policy.min_sharpness) found.push("too_blurred");
  if (contrary && contrary >= policy.max_contrary * frames) found.push("mixed_over_time");
  return found;
}

/** @param {readonly ClipScore[]} scores */
function countFrames(scores) {
  return scores.reduce((sum, { frames }) => sum + frames, 0);
}

// --- texts, in English as the Space's

/** @param {FaceVerdict} highest @param {readonly FaceVerdict[]} faces @param {readonly ClipScore[]} scores */
function verdictText(highest, faces, scores) {
  const seen = seenText(scores);
  const count = faces.filter(({ label }) => label === "fake").length;
  const verb = count === 1 ? "shows" : "show";
  const who = faces.length === 1 ? "The face shows" : `${count} of ${faces.length} faces ${verb}`;
  if (highest.label === "fake") {
    return `${who} signs of a deepfake: the detector says ${formatPercent(highest.probability)}, from ${seen}.`;
  }
  if (highest.label === "real") {
    const rest = faces.length === 2 ? "face" : `${faces.length - 1} faces`;
    const others = faces.length === 1 ? "" : ` and in the other ${rest}`;
    const caveat = "this is no proof that there is none, and heads drawn by a generator are often missed";
    return `No sign of a deepfake was found in ${seen}${others}; ${caveat}.`;
  }
  const doubt = `From ${seen} the detector cannot tell whether this is a deepfake (${abstainText(highest)})`;
  return `${doubt}${evidenceText(highest.evidence)}.`;
}

/** @param {readonly ClipScore[]} scores */
function seenText(scores) {
  const frames = countFrames(scores);
  const start = formatClock(Math.min(...scores.map((one) => one.start)));
  const end = formatClock(Math.max(...scores.map((one) => one.end)));
  const when = start === end ? `at ${start}` : `between ${start} and ${end}`;
  return `${frames} ${frames === 1 ? "frame" : "frames"} of one face ${when}`;
}

/** @type {Record<string, string>} */
const ABSTAIN_TEXTS = {
  too_few_frames: "too few frames",
  too_blurred: "the face is too blurred",
  mixed_over_time: "some moments look manipulated, others do not",
  unstable: "a mild re-compression changes the answer",
};

/** @param {FaceVerdict} face */
function abstainText({ reasons, probability }) {
  const texts = reasons.flatMap((code) => ABSTAIN_TEXTS[code] ?? []);
  return texts.join(", ") || `${formatPercent(probability)}, between its thresholds`;
}

/** @param {readonly string[]} leftOut */
function noFaceText(leftOut) {
  if (leftOut.length) return "No face was large, sharp and long enough in view to be judged, so nothing can be said.";
  return "No face was found in the moments that were looked at, so nothing can be said.";
}
