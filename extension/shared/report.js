/**
 * Unknown JSON -> Report, as in Python's `report.py`. Pure, never throws: text and numbers are checked, pictures are
 * JPEG data URLs only, links http(s) only. What cannot be read becomes a failed report.
 *
 * @typedef {"fake" | "real" | "uncertain" | "no_face"} Label
 *
 * @typedef {object} Source where the video came from
 * @property {"url" | "file" | "frames"} kind
 * @property {string} name
 * @property {string | null} url http or https
 * @property {string | null} title
 * @property {number | null} duration_seconds
 * @property {number | null} width px
 * @property {number | null} height px
 *
 * @typedef {object} Frequency of 100 validation videos with such a score, where half of all are fake
 * @property {number} fakes so many were fake
 * @property {number} low of the 95 % interval
 * @property {number} high
 * @property {number} videos that this rests on
 *
 * @typedef {object} Evidence how strongly a score speaks, and for what
 * @property {"fake" | "real" | "none"} direction
 * @property {"strong" | "moderate" | "weak" | "none"} strength
 * @property {number} likelihood_ratio
 * @property {Frequency | null} per_100
 *
 * @typedef {object} Verdict
 * @property {Label} label
 * @property {number | null} probability_fake null when, and only when, no face was judged
 * @property {number | null} face_id the face that decided
 * @property {string[]} reasons codes
 * @property {string} text one sentence, in the Space's language
 * @property {[number, number]} band between these the detector gives no answer
 * @property {Evidence | null} evidence null for `no_face`, and in reports of older versions
 *
 * @typedef {object} Model
 * @property {string} name
 * @property {string} revision
 * @property {number | null} probability_fake
 *
 * @typedef {object} Face
 * @property {number} id
 * @property {number} probability_fake
 * @property {Label} label
 * @property {string[]} reasons codes
 * @property {Evidence | null} evidence null in reports of older versions
 * @property {number} first_seconds
 * @property {number} last_seconds
 * @property {number | null} picture_seconds when the thumbnail was taken
 * @property {string | null} thumbnail data:image/jpeg
 * @property {string | null} heatmap data:image/jpeg
 *
 * @typedef {object} Span a moment that was analysed
 * @property {number} start_seconds
 * @property {number} end_seconds
 * @property {number} face_id
 * @property {number} probability_fake
 * @property {Label} label
 *
 * @typedef {object} Compute what ran the models
 * @property {string} backend
 * @property {string} device `browser` where this extension was the detector
 * @property {string} precision
 *
 * @typedef {object} Coverage
 * @property {number} frames
 * @property {number} frames_with_face
 * @property {number} analysed_seconds
 *
 * @typedef {object} Credentials what Content Credentials are worth, and what they say
 * @property {"trusted" | "valid" | "invalid" | "unverified" | "none"} state
 * @property {string} signer
 * @property {Made | null} made
 * @property {"changed" | "expired" | "damaged" | "uncovered" | null} problem
 *
 * @typedef {Credentials & {relation: Relation, title: string}} Ingredient what the file was made from, or with
 * @typedef {"parentOf" | "componentOf" | "inputTo"} Relation
 *
 * @typedef {"ai" | "part_ai" | "software" | "edited" | "camera"} Made
 * @typedef {{name: string, label: string}} SiteLabel how the site labels the video
 *
 * @typedef {object} Provenance what is said of the video's origin, beside the faces
 * @property {Credentials & {chain: Ingredient[]} | null} credentials null: not looked for
 * @property {{software: string, camera: string, made: Made | null, notes: string[]}} metadata
 * @property {SiteLabel | null} site
 *
 * @typedef {object} OkReport
 * @property {"unmask.report/1"} schema
 * @property {"ok"} status
 * @property {Source} source
 * @property {Verdict} verdict
 * @property {Model[]} models
 * @property {Face[]} faces
 * @property {Span[]} timeline in order of time
 * @property {Provenance | null} provenance null: of pictures of a player, and in reports of older versions
 * @property {Compute} compute
 * @property {Coverage} coverage
 * @property {string[]} warnings in words
 * @property {Record<string, unknown> | null} signed all of it as a Space signed it; null: it did not
 *
 * @typedef {object} FailedReport
 * @property {"unmask.report/1"} schema
 * @property {"failed"} status
 * @property {Source} source
 * @property {{code: string, message: string, choices: Choice[]}} error
 *
 * @typedef {object} Choice one of the videos that a link may mean
 * @property {string} url http or https
 * @property {string | null} title
 * @property {number | null} duration_seconds
 *
 * @typedef {OkReport | FailedReport} Report
 */

import constants from "./constants.js";
import { code, codes, fields, list, number, oneOf, picture, probability, seconds, text } from "./json-values.js";
import { parseWebUrl } from "./urls.js";

const { SCHEMA, BAND } = constants.report;
export const ON_DEVICE = "browser"; // in place of a device of torch
const LABELS = /** @type {const} */ (["fake", "real", "uncertain", "no_face"]);
const DIRECTIONS = /** @type {const} */ (["fake", "real", "none"]);
const STRENGTHS = /** @type {const} */ (["strong", "moderate", "weak", "none"]);
const STATES = /** @type {const} */ (["trusted", "valid", "invalid", "unverified", "none"]);
const MADE = /** @type {const} */ (["ai", "part_ai", "software", "edited", "camera"]);
const PROBLEMS = /** @type {const} */ (["changed", "expired", "damaged", "uncovered"]);
const RELATIONS = /** @type {const} */ (["parentOf", "componentOf", "inputTo"]);
const KINDS = /** @type {const} */ (["url", "file", "frames"]);
const MAX_FACES = 64;
const MAX_CHOICES = 20;
const MAX_INGREDIENTS = 8;
const MAX_SPANS = 4096;
const LENGTH_TOLERANCE = 0.02;
const ASPECT_TOLERANCE = 0.03; // sides are rounded to even numbers

/**
 * Read a report.
 * @param {unknown} json of a server or from storage
 * @param {boolean} [isOwn] not of a server, which could claim that nothing was sent to it
 * @returns {Report}
 */
export function parseReport(json, isOwn = true) {
  const from = fields(json);
  if (from.schema !== SCHEMA) return failedReport("bad_report", "");
  if (from.status === "failed") return toFailed(from);
  const verdict = toVerdict(from.verdict);
  if (from.status !== "ok" || !verdict) return failedReport("bad_report", "");
  return {
    schema: SCHEMA,
    status: "ok",
    source: toSource(from.source),
    verdict,
    models: list(from.models, MAX_FACES).map(toModel),
    faces: list(from.faces, MAX_FACES).flatMap(toFace),
    timeline: list(from.timeline, MAX_SPANS)
      .flatMap(toSpan)
      .sort((a, b) => a.start_seconds - b.start_seconds),
    provenance: toProvenance(from.provenance),
    compute: toCompute(from.compute, isOwn),
    coverage: toCoverage(from.coverage),
    warnings: list(from.warnings, MAX_FACES).map(text).filter(Boolean),
    signed: [from, fields(isOwn && from.signed)].find(({ signature }) => typeof signature === "string") ?? null,
  };
}

/**
 * Make a failed report of the extension's own, in the same shape as a Space's.
 * @param {string} code
 * @param {string} message
 * @param {string} [url]
 * @returns {FailedReport}
 */
export function failedReport(code, message, url = "") {
  const source = toSource({ kind: "url", name: url, url });
  return { schema: SCHEMA, status: "failed", source, error: { code, message, choices: [] } };
}

/**
 * Tell whether a report is of the video in a player, as far as its length and its sides tell; captured frames are.
 * @param {OkReport} report
 * @param {{duration: number, aspect: number}} shape of the video in the player
 * @param {boolean} [ifUnknown] the answer where there is no length to compare
 */
export function isOfVideo({ source }, { duration, aspect }, ifUnknown = false) {
  const { kind, duration_seconds: checked, width, height } = source;
  if (kind !== "url") return true;
  if (!checked || !(duration > 0 && duration < Infinity)) return ifUnknown;
  if (width && height && aspect && Math.abs(width / height / aspect - 1) > ASPECT_TOLERANCE) return false;
  return Math.abs(checked - duration) <= Math.max(1, LENGTH_TOLERANCE * checked);
}

/** Tell whether a report was made on this computer. @param {OkReport} report */
export function isOnDevice({ compute }) {
  return compute.device === ON_DEVICE;
}

/**
 * Merge the spans of all faces in order of time: of two that overlap, the more suspicious one is kept.
 * @param {Span[]} timeline
 * @returns {Span[]}
 */
export function mergeSpans(timeline) {
  /** @type {Span[]} */
  const kept = [];
  for (const span of [...timeline].sort((a, b) => b.probability_fake - a.probability_fake)) {
    if (!kept.some((other) => overlap(span, other))) kept.push(span);
  }
  return kept.sort((a, b) => a.start_seconds - b.start_seconds);
}

/** @param {Span} a @param {Span} b */
function overlap(a, b) {
  const same = a.start_seconds === b.start_seconds;
  return same || (a.start_seconds < b.end_seconds && b.start_seconds < a.end_seconds);
}

/** @param {Record<string, unknown>} from @returns {FailedReport} */
function toFailed(from) {
  const error = fields(from.error);
  return {
    schema: SCHEMA,
    status: "failed",
    source: toSource(from.source),
    error: {
      code: code(error.code) ?? "internal",
      message: text(error.message),
      choices: list(error.choices, MAX_CHOICES).flatMap(toChoice),
    },
  };
}

/** @param {unknown} json @returns {Choice[]} */
function toChoice(json) {
  const { url, title, duration_seconds: length } = fields(json);
  const address = typeof url === "string" ? parseWebUrl(url)?.href : null;
  return address ? [{ url: address, title: text(title) || null, duration_seconds: seconds(length) }] : [];
}

/** @param {unknown} json @returns {Source} */
function toSource(json) {
  const from = fields(json);
  return {
    kind: oneOf(KINDS, from.kind) ?? "url",
    name: text(from.name),
    url: parseWebUrl(from.url)?.href ?? null,
    title: text(from.title) || null,
    duration_seconds: seconds(from.duration_seconds),
    width: seconds(from.width),
    height: seconds(from.height),
  };
}

/** @param {unknown} json @returns {Verdict | null} */
function toVerdict(json) {
  const from = fields(json);
  const label = oneOf(LABELS, from.label);
  const chance = label === "no_face" ? null : probability(from.probability_fake);
  if (!label || (chance === null && label !== "no_face")) return null;
  return {
    label,
    probability_fake: chance,
    face_id: number(from.face_id),
    reasons: codes(from.reasons),
    text: text(from.text),
    band: toBand(from.band),
    evidence: toEvidence(from.evidence),
  };
}

/** @param {unknown} json @returns {Evidence | null} null when it cannot be read */
function toEvidence(json) {
  const from = fields(json);
  const [direction, strength] = [oneOf(DIRECTIONS, from.direction), oneOf(STRENGTHS, from.strength)];
  const ratio = seconds(from.likelihood_ratio);
  if (!direction || !strength || ratio === null || (direction === "none") !== (strength === "none")) return null;
  return { direction, strength, likelihood_ratio: ratio, per_100: toFrequency(from.per_100) };
}

/** @param {unknown} json @returns {Frequency | null} null when it cannot be read */
function toFrequency(json) {
  const from = fields(json);
  const [fakes, low, high, videos] = [from.fakes, from.low, from.high, from.videos].map(seconds);
  if (typeof fakes !== "number" || typeof low !== "number" || typeof high !== "number" || !videos) return null;
  return fakes <= 100 && low <= fakes && fakes <= high ? { fakes, low, high, videos } : null;
}

/** @param {unknown} json @returns {[number, number]} */
function toBand(json) {
  const [low, high] = list(json, 2).map(probability);
  return typeof low === "number" && typeof high === "number" && low <= high ? [low, high] : [...BAND];
}

/** @param {unknown} json @returns {Model} */
function toModel(json) {
  const from = fields(json);
  return {
    name: text(from.name),
    revision: text(from.revision),
    probability_fake: probability(from.probability_fake),
  };
}

/** @param {unknown} json @returns {Face[]} none when it cannot be read */
function toFace(json) {
  const from = fields(json);
  const [id, chance, label] = [number(from.id), probability(from.probability_fake), oneOf(LABELS, from.label)];
  if (id === null || chance === null || !label) return [];
  const first = seconds(from.first_seconds) ?? 0;
  return [
    {
      id,
      probability_fake: chance,
      label,
      reasons: codes(from.reasons),
      evidence: toEvidence(from.evidence),
      first_seconds: first,
      last_seconds: Math.max(first, seconds(from.last_seconds) ?? first),
      picture_seconds: seconds(from.picture_seconds),
      thumbnail: picture(from.thumbnail),
      heatmap: picture(from.heatmap),
    },
  ];
}

/** @param {unknown} json @returns {Span[]} none when it cannot be read */
function toSpan(json) {
  const from = fields(json);
  const [start, end] = [seconds(from.start_seconds), seconds(from.end_seconds)];
  const chance = probability(from.probability_fake);
  if (start === null || end === null || end < start || chance === null) return [];
  const label = oneOf(LABELS, from.label) ?? "uncertain";
  return [
    { start_seconds: start, end_seconds: end, face_id: number(from.face_id) ?? -1, probability_fake: chance, label },
  ];
}

/**
 * Add how a site labels the video to a report that does not say so.
 * @param {OkReport} report
 * @param {SiteLabel | null} site
 * @returns {OkReport}
 */
export function withSite(report, site) {
  if (!site || report.provenance?.site) return report;
  const unknown = { credentials: null, metadata: { software: "", camera: "", made: null, notes: [] } };
  return { ...report, provenance: { ...(report.provenance ?? unknown), site } };
}

/** @param {unknown} json @returns {Provenance | null} null when it cannot be read */
function toProvenance(json) {
  const from = fields(json);
  const credentials = toCredentials(from.credentials);
  const chain = list(fields(from.credentials).chain, MAX_INGREDIENTS).flatMap(toIngredient);
  const { software, camera, made, notes } = fields(from.metadata);
  const site = fields(from.site);
  if (!credentials && !from.site) return null;
  return {
    credentials: credentials && { ...credentials, chain },
    metadata: {
      software: text(software),
      camera: text(camera),
      made: oneOf(MADE, made),
      notes: list(notes, MAX_FACES).map(text).filter(Boolean),
    },
    site: site.name && site.label ? { name: text(site.name), label: text(site.label) } : null,
  };
}

/** @param {unknown} json @returns {Credentials | null} null when it cannot be read */
function toCredentials(json) {
  const { state, signer, made, problem } = fields(json);
  const known = oneOf(STATES, state);
  return known && { state: known, signer: text(signer), made: oneOf(MADE, made), problem: oneOf(PROBLEMS, problem) };
}

/** @param {unknown} json @returns {Ingredient[]} none when it cannot be read, and for the file's own */
function toIngredient(json) {
  const { relation, title } = fields(json);
  const [credentials, known] = [toCredentials(json), oneOf(RELATIONS, relation)];
  return credentials && known ? [{ ...credentials, relation: known, title: text(title) }] : [];
}

/** @param {unknown} json @param {boolean} isOwn @returns {Compute} */
function toCompute(json, isOwn) {
  const { backend, device, precision } = fields(json);
  const isClaim = device === ON_DEVICE && !isOwn;
  return { backend: text(backend), device: isClaim ? "" : text(device), precision: text(precision) };
}

/** @param {unknown} json @returns {Coverage} */
function toCoverage(json) {
  const from = fields(json);
  return {
    frames: Math.round(seconds(from.frames) ?? 0),
    frames_with_face: Math.round(seconds(from.frames_with_face) ?? 0),
    analysed_seconds: seconds(from.analysed_seconds) ?? 0,
  };
}
