/**
 * Logits -> calibrated scores -> verdict -> report, as unmask/verdict.py for one model. Pure.
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
 *
 * @typedef {object} ClipScore what the model says of one clip of one face
 * @property {number} face
 * @property {number} start seconds
 * @property {number} end
 * @property {number} frames
 * @property {number} sharpness of the crops that the model was shown
 * @property {number} logOdds calibrated
 *
 * @typedef {"fake" | "real" | "uncertain"} Label
 * @typedef {{id: number, probability: number, label: Label, reasons: string[]}} FaceVerdict
 *
 * @typedef {object} Verdict
 * @property {Label | "no_face"} label
 * @property {number | null} probability null when, and only when, no face was judged
 * @property {number | null} face the one that decided
 * @property {string[]} reasons codes
 * @property {string} text
 * @property {FaceVerdict[]} faces most suspicious first
 * @property {number | null} alone what the model says before anything is held back
 */

import { clock } from "../shared/labels.js";
import { median } from "./tracking.js";

const MAX_LOG_ODDS = 6.9;

/** @param {Calibration} calibration @param {number} logit Raises RangeError when it is not finite. */
export function toLogOdds({ temperature, bias }, logit) {
  if (!Number.isFinite(logit)) throw new RangeError(`a model gave ${logit}`);
  return Math.min(Math.max(logit / temperature + bias, -MAX_LOG_ODDS), MAX_LOG_ODDS);
}

/** @param {number} logOdds */
export function toProbability(logOdds) {
  return 1 / (1 + Math.exp(-logOdds));
}

/**
 * All clips of all faces -> one verdict.
 *
 * @param {readonly ClipScore[]} scores
 * @param {Policy} policy
 * @param {readonly string[]} excluded why faces were left out, as codes
 * @param {readonly ClipScore[]} [again] of the faces that were looked at a second time, mildly re-compressed
 * @returns {Verdict}
 */
export function decide(scores, policy, excluded, again = []) {
  const leftOut = [...new Set(excluded)].sort();
  const ids = [...new Set(scores.map(({ face }) => face))].sort((a, b) => a - b);
  const crowd = crowdShift(ids.length, policy);
  const of = (/** @type {readonly ClipScore[]} */ some, /** @type {number} */ id) => some.filter(({ face }) => face === id);
  const faces = ids.map((id) => judge(id, of(scores, id), of(again, id), crowd, policy)).sort((a, b) => b.probability - a.probability);
  const highest = faces[0];
  if (!highest) return { label: "no_face", probability: null, face: null, reasons: leftOut.length ? leftOut : ["no_face"], text: noFaceText(leftOut), faces: [], alone: null };
  return {
    label: highest.label,
    probability: highest.probability,
    face: highest.id,
    reasons: [...highest.reasons, ...(crowd > 0 ? ["several_people"] : []), ...leftOut],
    text: sentence(highest, faces, of(scores, highest.id)),
    faces,
    alone: toProbability(Math.max(...ids.map((id) => pool(of(scores, id), policy.trim))) - crowd),
  };
}

/** Ids of the faces that an answer stands on; none without an answer. @param {Verdict} verdict @returns {number[]} */
export function decidingFaces({ label, face, faces }) {
  if (face === null || label === "uncertain") return [];
  const fakes = faces.filter((one) => one.label === "fake").map(({ id }) => id);
  return fakes.length ? fakes : [face];
}

/** The clips of one face -> log-odds: mean weighted by frames, outlying ends ignored. @param {readonly ClipScore[]} scores @param {number} trim */
export function pool(scores, trim) {
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

/** What each of n faces loses, in log-odds. @param {number} faces @param {Policy} policy */
export function crowdShift(faces, policy) {
  return policy.crowd_weight * Math.log(Math.max(faces, 1));
}

/** @param {Policy} policy @param {number} probability @returns {Label} */
function labelOf({ real_below, fake_above }, probability) {
  if (probability > fake_above) return "fake";
  return probability < real_below ? "real" : "uncertain";
}

/** @param {number} id @param {readonly ClipScore[]} scores @param {readonly ClipScore[]} again @param {number} crowd @param {Policy} policy @returns {FaceVerdict} */
function judge(id, scores, again, crowd, policy) {
  const logOdds = pool(scores, policy.trim) - crowd;
  const chance = toProbability(logOdds);
  const label = labelOf(policy, chance);
  const doubts = doubtsAbout(scores, crowd, label, policy);
  if (again.length && isUnstable(logOdds, pool(again, policy.trim) - crowd, label, policy)) doubts.push("unstable");
  const holds = doubts.length > 0 && (label === "real" || doubts.join() !== "mixed_over_time");
  const probability = holds ? Math.min(Math.max(chance, policy.real_below), policy.fake_above) : chance;
  const held = labelOf(policy, probability);
  const said = { fake: "score_high", real: "score_low", uncertain: "score_between" }[label];
  return { id, probability, label: held, reasons: held === label ? [said, ...doubts] : doubts };
}

/** @param {readonly ClipScore[]} scores @param {number} crowd @param {Label} label @param {Policy} policy @returns {string[]} */
function doubtsAbout(scores, crowd, label, policy) {
  const frames = countFrames(scores);
  const contrary = (/** @type {ClipScore} */ { logOdds }) => {
    const said = labelOf(policy, toProbability(logOdds - crowd));
    return (said === "fake" && label === "real") || (said === "real" && label === "fake");
  };
  const against = countFrames(scores.filter(contrary));
  const found = [];
  if (frames < policy.min_frames || scores.length < policy.min_clips) found.push("too_few_frames");
  if (median(scores.map(({ sharpness }) => sharpness)) < policy.min_sharpness) found.push("too_blurred");
  if (against && against >= policy.max_contrary * frames) found.push("mixed_over_time");
  return found;
}

/** @param {number} logOdds @param {number} again @param {Label} label @param {Policy} policy */
function isUnstable(logOdds, again, label, policy) {
  const drift = { fake: logOdds - again, real: again - logOdds, uncertain: 0 }[label];
  return drift > policy.max_drift;
}

/** @param {readonly ClipScore[]} scores */
function countFrames(scores) {
  return scores.reduce((sum, { frames }) => sum + frames, 0);
}

// --- words, in English as the Space's

/** @param {FaceVerdict} highest @param {readonly FaceVerdict[]} faces @param {readonly ClipScore[]} scores */
function sentence(highest, faces, scores) {
  const seen = seenText(scores);
  const count = faces.filter(({ label }) => label === "fake").length;
  const who = faces.length === 1 ? "The face shows" : `${count} of ${faces.length} faces ${count === 1 ? "shows" : "show"}`;
  if (highest.label === "fake") return `${who} signs of a deepfake: the detector says ${percent(highest.probability)}, from ${seen}.`;
  if (highest.label === "real") {
    const others = faces.length === 1 ? "" : ` and in the other ${faces.length === 2 ? "face" : `${faces.length - 1} faces`}`;
    return `No sign of a deepfake was found in ${seen}${others}; this is no proof that there is none.`;
  }
  return `From ${seen} the detector cannot tell whether this is a deepfake (${why(highest)}).`;
}

/** @param {readonly ClipScore[]} scores */
function seenText(scores) {
  const frames = countFrames(scores);
  const [start, end] = [clock(Math.min(...scores.map((one) => one.start))), clock(Math.max(...scores.map((one) => one.end)))];
  const when = start === end ? `at ${start}` : `between ${start} and ${end}`;
  return `${frames} ${frames === 1 ? "frame" : "frames"} of one face ${when}`;
}

/** @param {FaceVerdict} face */
function why({ reasons, probability }) {
  /** @type {Record<string, string>} */
  const words = {
    too_few_frames: "too few frames",
    too_blurred: "the face is too blurred",
    mixed_over_time: "some moments look manipulated, others do not",
    unstable: "a mild re-compression changes the answer",
  };
  return reasons.flatMap((code) => words[code] ?? []).join(", ") || `${percent(probability)}, where it is often wrong`;
}

/** @param {readonly string[]} leftOut */
function noFaceText(leftOut) {
  if (leftOut.length) return "No face was large, sharp and long enough in view to be judged, so nothing can be said.";
  return "No face was found in the moments that were looked at, so nothing can be said.";
}

/** @param {number} probability */
function percent(probability) {
  if (probability < 0.01) return "under 1%";
  return probability > 0.99 ? "over 99%" : `${Math.round(100 * probability)}%`;
}
