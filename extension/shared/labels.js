/**
 * What a person reads of a report, a failure or a check under way. Pure.
 *
 * @import { Evidence, FailedReport, OkReport, Report } from "./report.js"
 * @import { Translate } from "./i18n.js"
 *
 * @typedef {"fake" | "real" | "uncertain" | "no_face" | "failed" | "busy"} Tone
 * @typedef {"retry" | "capture" | "settings"} Action what a person can do about a failure
 *
 * @typedef {object} Label
 * @property {string} text a few words
 * @property {string} [badge] fewer words, where there are
 * @property {Tone} tone
 * @property {string} detail one or two sentences
 *
 * @typedef {{from: number, to: number, length: number}} Part of a video, seconds
 *
 * @typedef {object} Progress
 * @property {string} stage
 * @property {number} fraction 0..1
 * @property {number} position 1: next in the queue; 0: not waiting
 */

import constants from "./constants.js";
import { toTranslate } from "./i18n.js";

/**
 * What helps after each failure, most useful first. Its texts are `error_<code>` and `next_<code>`.
 *
 * @type {Record<string, Action[]>}
 */
const NEXT = {
  bad_url: ["capture"],
  blocked_address: ["capture", "settings"],
  unsupported_site: ["capture"],
  login_required: ["capture"],
  fetch_failed: ["capture", "retry"],
  too_large: ["capture"],
  too_long: ["capture"],
  live_stream: ["capture"],
  not_a_video: ["capture"],
  no_frames: ["capture", "retry"],
  timeout: ["retry", "capture"],
  busy: ["retry"],
  rate_limited: ["retry"],
  bad_input: ["retry"],
  model_unavailable: ["settings"],
  cancelled: ["retry"],
  internal: ["retry"],
  // raised by the extension itself
  bad_report: ["settings", "retry"],
  space_unreachable: ["retry", "settings"],
  space_forbidden: ["settings"],
  permission_needed: ["settings"],
  job_lost: ["retry"],
  no_player: ["retry"],
  needs_pictures: ["settings"],
  other_video: ["capture", "retry"],
  no_local_files: ["settings"],
  no_source: ["retry"],
  source_failed: ["retry"],
  no_picture: [],
  canvas_player: [],
  capture_black: [],
  capture_blocked: [],
  capture_stopped: ["capture"],
  capture_floating: ["capture"],
};

export const ERROR_CODES = Object.keys(NEXT);
const MIN_PART = 0.7;
const MIN_MISSED_SECONDS = 5;
const HELP = /** @type {const} */ ([
  ["longer", ["too_few_frames", "face_too_brief"]],
  ["original", ["too_blurred", "face_too_small", "face_too_blurred"]],
]);
const BASE_RATE = 0.01; // of `base_rate`
const STAGES = ["queued", "fetch", "decode", "faces", "model", "explain", "done", "capture", "send"];
const inEnglish = toTranslate({
  percent: { message: "$1%" },
  under_one_percent: { message: "under 1%" },
  over_99_percent: { message: "over 99%" },
});

/**
 * Put a report into words.
 * @param {Report} report
 * @param {Translate} t
 * @returns {Label}
 */
export function toLabel(report, t) {
  if (report.status === "failed") return failureLabel(report, t);
  const { verdict, coverage, faces } = report;
  const { label, evidence } = verdict;
  const chance = verdict.probability_fake === null ? "" : formatPercent(verdict.probability_fake, t);
  const isLeaning = label === "uncertain" && evidence && evidence.direction !== "none";
  const detail = t(`detail_${isLeaning ? "lean" : label}`, chance, coverage.frames_with_face, faces.length);
  const badge = labelText(label, evidence, t, false);
  return { text: labelText(label, evidence, t), badge, tone: label, detail };
}

/**
 * Name a label, and which way an uncertain one leans.
 * @param {import("./report.js").Label} label
 * @param {Evidence | null | undefined} evidence
 * @param {Translate} t
 * @param {boolean} [withStrength]
 */
export function labelText(label, evidence, t, withStrength = true) {
  const name = t(`label_${label}`);
  if (label !== "uncertain" || !evidence) return name;
  const { direction, strength } = evidence;
  const much = withStrength && direction !== "none" ? ` (${t(`strength_${strength}`)})` : "";
  return `${name} · ${t(`lean_${direction}`)}${much}`;
}

/**
 * Put evidence into words.
 * @param {Evidence} evidence
 * @param {Translate} t
 * @returns {{grade: string, frequency: string, ifRare: string}} ifRare: how many would be fake if one in a hundred
 * were; this and frequency are empty without a validation
 */
export function evidenceTexts({ direction, strength, likelihood_ratio: ratio, per_100: found }, t) {
  const side = direction === "none" ? t("scale_none") : t("scale", t(`strength_${strength}`), t(`side_${direction}`));
  const [fakes = 0, ...interval] = found ? [found.fakes, found.low, found.high].map(Math.round) : [];
  const some = Math.min(Math.max(fakes, 1), 99); // never none or all: no validation is large enough
  const odds = (ratio * BASE_RATE) / (1 - BASE_RATE);
  return {
    grade: side,
    frequency: found ? t("frequency", some, ...interval, found.videos) : "",
    ifRare: found ? t("base_rate_then", formatPercent(odds / (1 + odds), t)) : "",
  };
}

/**
 * Say what is known of the video's origin, beside the faces and without mixing the two.
 * @param {OkReport} report
 * @param {Translate} t
 * @returns {{head: string, rest: string[]}} head: with what the faces say; empty where nothing was found
 */
export function originTexts({ provenance, verdict, source }, t) {
  const { credentials, metadata, site } = provenance ?? { credentials: null, metadata: null, site: null };
  const signed = credentials ? credentialsText(credentials, t) : "";
  const tagsMade = metadata?.made ? t(`made_${metadata.made}`) : "";
  const tags = [tagsMade, metadata?.camera, metadata?.software].filter(Boolean);
  const tagged = tags.length > 0 ? t("tags_say", tags.join("; ")) : "";
  const labelled = site ? t("site_says", site.name, site.label) : "";
  const isNone = credentials?.state === "none";
  const unread = !credentials && source.kind === "frames" ? t("credentials_unread") : "";
  const said = [isNone ? "" : signed, labelled, tagsMade && tagged].filter(Boolean);
  const chain = (credentials?.chain ?? []).map((each) => ingredientText(each, t));
  const rest = [...chain, ...said.slice(1), tagsMade ? "" : tagged, isNone ? signed : unread].filter(Boolean);
  const faces = t("faces_say", t(`label_${verdict.label}`));
  return { head: said[0] ? `${said[0]} ${faces}` : "", rest };
}

/** @param {import("./report.js").Credentials} credentials @param {Translate} t */
function credentialsText({ state, signer, made, problem }, t) {
  const says = t(`made_${made ?? "unsaid"}`);
  if (state === "trusted" || state === "valid") return t(`credentials_${state}`, signer, says);
  if (state === "invalid") return t("credentials_invalid", t(`problem_${problem ?? "damaged"}`));
  return state === "unverified" ? t("credentials_unchecked", says) : t("credentials_none");
}

/** @param {import("./report.js").Ingredient} ingredient @param {Translate} t */
function ingredientText({ relation, title, ...credentials }, t) {
  return `${t(`ingredient_${relation}`, title || "?")} ${credentialsText(credentials, t)}`;
}

/**
 * Say what would help to get an answer, where there is none.
 * @param {import("./report.js").Verdict} verdict
 * @param {Translate} t
 */
export function helpTexts({ label, reasons }, t) {
  if (label === "fake" || label === "real") return [];
  const helps = HELP.filter(([, codes]) => codes.some((code) => reasons.includes(code)));
  return helps.map(([name]) => t(`help_${name}`));
}

/** @param {FailedReport} report @param {Translate} t @returns {Label} */
function failureLabel({ error }, t) {
  const code = knownCode(error.code);
  const text = t(code === "cancelled" ? "label_cancelled" : "label_failed");
  return { text, tone: "failed", detail: `${t(`error_${code}`)} ${t(`next_${code}`)}` };
}

/**
 * Find the part of a video that was looked at.
 * @param {number[]} seconds of its frames, rising
 * @param {number} length seconds
 * @returns {Part | null} null: all of it, or it has no end
 */
export function partOf(seconds, length) {
  const [from = 0, to = from] = [seconds[0], seconds.at(-1)];
  return length < Infinity && to - from < MIN_PART * length && length - (to - from) > MIN_MISSED_SECONDS
    ? { from, to, length }
    : null;
}

/**
 * Put the progress of a check into words.
 * @param {Progress} progress
 * @param {Translate} t
 * @returns {Label}
 */
export function progressLabel({ stage, fraction, position }, t) {
  const done = t("percent", Math.round(100 * fraction));
  const now = t(`stage_${STAGES.includes(stage) ? stage : "model"}`);
  const detail = position > 1 ? t("queue_position", position - 1) : now;
  return { text: position > 0 ? t("label_queued") : t("label_checking", done), tone: "busy", detail };
}

/** List what a person can do about a failure. @param {string} code @returns {Action[]} */
export function nextActions(code) {
  return NEXT[knownCode(code)] ?? [];
}

/** @param {string} code @returns {string} a code that has texts */
function knownCode(code) {
  return Object.hasOwn(NEXT, code) ? code : "internal";
}

/** Put a reason into words. @param {string} code an unknown one is its own text @param {Translate} t */
export function reasonText(code, t) {
  const codes = /** @type {readonly string[]} */ (constants.report.REASONS);
  return codes.includes(code) ? t(`reason_${code}`) : code;
}

/**
 * Format a probability, never as "0 %" or "100 %": no detector is that sure.
 * @param {number} probability
 * @param {Translate} [t]
 */
export function formatPercent(probability, t = inEnglish) {
  if (probability < 0.01) return t("under_one_percent");
  return probability > 0.99 ? t("over_99_percent") : t("percent", Math.round(100 * probability));
}

/** Format seconds as a player does: 0:07, 12:34, 1:02:03. @param {number} seconds */
export function formatClock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/**
 * Format the time since a moment, in the reader's language.
 * @param {number} then ms
 * @param {number} now ms
 * @param {string} language
 */
export function formatAge(then, now, language) {
  const seconds = Math.max(0, (now - then) / 1000);
  const units = /** @type {const} */ ([
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
  ]);
  const [unit, length] = units.find(([, size]) => seconds >= size) ?? /** @type {const} */ (["minute", 60]);
  return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(-Math.floor(seconds / length), unit);
}

/** Name the models of a report. @param {OkReport} report @param {number} [revisionLength] */
export function modelNames({ models }, revisionLength) {
  return models.map(({ name, revision }) => `${name} ${revision.slice(0, revisionLength)}`.trim()).join(", ");
}

/** Summarise a report in a few lines of plain text. @param {OkReport} report @param {Translate} t */
export function summarize(report, t) {
  const { text, detail } = toLabel(report, t);
  const address = report.source.url ?? report.source.name;
  const models = t("summary_models", modelNames(report));
  const { evidence } = report.verdict;
  const origin = originTexts(report, t);
  const frequency = evidence && evidenceTexts(evidence, t).frequency;
  const said = [detail, origin.head, ...origin.rest, frequency, ...helpTexts(report.verdict, t)];
  return [`Unmask: ${text}`, ...said, address, models, t("no_proof")].filter(Boolean).join("\n");
}
