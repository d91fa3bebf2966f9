/**
 * What a person reads of a report, a failure or a job: words, tone, what to do next. Pure.
 *
 * @typedef {import("./report.js").Report} Report
 * @typedef {import("./report.js").OkReport} OkReport
 * @typedef {import("./report.js").FailedReport} FailedReport
 * @typedef {import("./i18n.js").Words} Words
 *
 * @typedef {"fake" | "real" | "uncertain" | "no_face" | "failed" | "busy"} Tone
 * @typedef {"retry" | "capture" | "settings"} Action what a person can do about a failure
 *
 * @typedef {object} Label
 * @property {string} text a few words
 * @property {Tone} tone
 * @property {string} detail one or two sentences
 *
 * @typedef {object} Progress a job at one moment, as the Space tells it
 * @property {string} stage
 * @property {number} fraction 0..1
 * @property {number} position 1: next in the queue; 0: not waiting
 */

/**
 * What helps after each failure, most useful first. The words are `error_<code>` and `next_<code>`.
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
  // our own
  bad_report: ["settings", "retry"],
  space_unreachable: ["retry", "settings"],
  space_forbidden: ["settings"],
  permission_needed: ["settings"],
  job_lost: ["retry"],
  no_player: ["retry"],
  needs_pictures: ["settings"],
  no_local_files: ["settings"],
  capture_black: [],
  capture_blocked: [],
  capture_stopped: ["capture"],
};

export const ERROR_CODES = Object.keys(NEXT);
export const REASON_CODES = [
  "score_high",
  "score_low",
  "score_between",
  "too_few_frames",
  "too_blurred",
  "models_disagree",
  "mixed_over_time",
  "unstable",
  "several_people",
  "no_face",
  "face_too_small",
  "face_too_blurred",
  "face_too_brief",
];
const STAGES = ["queued", "fetch", "decode", "faces", "model", "explain", "done", "capture", "send"];

/** @param {Report} report @param {Words} words @returns {Label} */
export function toLabel(report, words) {
  return report.status === "ok" ? verdictLabel(report, words) : failureLabel(report, words);
}

/** @param {OkReport} report @param {Words} words @returns {Label} */
function verdictLabel({ verdict, coverage, faces }, words) {
  const chance = verdict.probability_fake === null ? "" : percent(verdict.probability_fake, words);
  const detail = words(`detail_${verdict.label}`, chance, coverage.frames_with_face, faces.length);
  return { text: words(`label_${verdict.label}`), tone: verdict.label, detail };
}

/** @param {FailedReport} report @param {Words} words @returns {Label} */
function failureLabel({ error }, words) {
  const code = known(error.code);
  return { text: words(code === "cancelled" ? "label_cancelled" : "label_failed"), tone: "failed", detail: `${words(`error_${code}`)} ${words(`next_${code}`)}` };
}

/** @param {Progress} progress @param {Words} words @returns {Label} */
export function progressLabel({ stage, fraction, position }, words) {
  const done = words("percent", Math.round(100 * fraction));
  const now = words(`stage_${STAGES.includes(stage) ? stage : "model"}`);
  const detail = position > 1 ? words("queue_position", position - 1) : now;
  return { text: position > 0 ? words("label_queued") : words("label_checking", done), tone: "busy", detail };
}

/** @param {string} code @returns {Action[]} */
export function nextActions(code) {
  return NEXT[known(code)] ?? [];
}

/** @param {string} code @returns {string} a code that has words */
function known(code) {
  return Object.hasOwn(NEXT, code) ? code : "internal";
}

/** @param {string} code @param {Words} words @returns {string} an unknown reason stands for itself */
export function reason(code, words) {
  return REASON_CODES.includes(code) ? words(`reason_${code}`) : code;
}

/** Never "0 %" or "100 %": no detector is that sure. @param {number} probability @param {Words} words */
export function percent(probability, words) {
  if (probability < 0.01) return words("under_one_percent");
  return probability > 0.99 ? words("over_99_percent") : words("percent", Math.round(100 * probability));
}

/** @param {number} probability @param {[number, number]} band @returns {"fake" | "real" | "uncertain"} */
export function toneOf(probability, [low, high]) {
  if (probability > high) return "fake";
  return probability < low ? "real" : "uncertain";
}

/** Seconds as a player shows them: 0:07, 12:34, 1:02:03. @param {number} seconds */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** A few lines to paste elsewhere. @param {OkReport} report @param {Words} words */
export function summary(report, words) {
  const { text, detail } = toLabel(report, words);
  const models = report.models.map((model) => `${model.name} ${model.revision}`.trim()).join(", ");
  const where = report.source.url ?? report.source.name;
  return [`Unmask: ${text}`, detail, where, words("summary_models", models), words("no_proof")].filter(Boolean).join("\n");
}

/** How long ago, in the reader's language. @param {number} then @param {number} now both in ms @param {string} language */
export function age(then, now, language) {
  const seconds = Math.max(0, (now - then) / 1000);
  const units = /** @type {const} */ ([["day", 86400], ["hour", 3600], ["minute", 60]]);
  const [unit, length] = units.find(([, size]) => seconds >= size) ?? /** @type {const} */ (["minute", 60]);
  return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(-Math.floor(seconds / length), unit);
}
