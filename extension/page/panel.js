/**
 * The content of the panel: a report, progress, a failure, or the question before frames are captured.
 *
 * @import { Face, FailedReport, OkReport } from "../shared/report.js"
 * @import { Action } from "../shared/labels.js"
 * @import { Translate } from "../shared/i18n.js"
 *
 * @typedef {object} PanelActions what the buttons do; those that are left out have no button
 * @property {(seconds: number) => void} [seek]
 * @property {() => void} copy
 * @property {(kind: "json" | "html") => void} save
 * @property {() => void} [recheck]
 * @property {() => void} [chooseModel]
 * @property {() => void} [openSpace]
 * @property {() => void} [askSpace] for a second opinion
 */

import {
  formatAge,
  formatClock,
  formatPercent,
  helpTexts,
  labelText,
  modelNames,
  nextActions,
  originTexts,
  progressLabel,
  reasonText,
  toLabel,
} from "../shared/labels.js";
import { isOnDevice } from "../shared/report.js";
import { h, toBlob } from "../shared/dom.js";
import { renderEvidence, renderScale } from "./evidence-scale.js";
import { icon } from "../shared/icons.js";

/**
 * Render a report.
 * @param {OkReport} report
 * @param {number | null} savedAt ms, of a remembered report
 * @param {{t: Translate, language: string, actions: PanelActions, title: string, note?: string}} options title: of
 *   the page, if any; note: what the person must know first
 * @returns {HTMLElement[]}
 */
export function renderReport(report, savedAt, { t, language, actions, title, note = "" }) {
  const { verdict, source, faces, warnings } = report;
  const label = toLabel(report, t);
  const chance = verdict.probability_fake;
  const hasHeatmap = faces.some((face) => face.heatmap);
  const origin = originTexts(report, t);
  const parts = [
    heading(label.tone, label.text, title || source.title),
    h("p", { class: "detail" }, label.detail),
    origin.head !== "" && h("p", { class: "detail origin", dir: "auto" }, origin.head),
    note !== "" && h("p", { class: "detail" }, note),
    verdict.evidence ? renderEvidence(verdict.evidence, chance, t) : chance !== null && gauge(chance, verdict.band, t),
    h("ul", { class: "reasons" }, ...verdict.reasons.map((code) => h("li", {}, reasonText(code, t)))),
    ...helpTexts(verdict, t).map((text) => h("p", {}, text)),
    faces.length > 0 && h("div", { class: "faces" }, ...faces.map((face, i) => faceCard(face, i + 1, t, actions.seek))),
    ...warnings.map((warning) => h("p", { class: "hint", lang: "en", dir: "auto" }, warning)),
    ...origin.rest.map((line) => h("p", { class: "hint origin", dir: "auto" }, line)),
    hint(`${originText(report, t)} ${t("summary_models", modelNames(report, 8))}`),
    savedAt !== null && hint(t("remembered", formatAge(savedAt, Date.now(), language))),
    hasHeatmap && hint(t("heatmap_hint")),
    hint(t("no_proof")),
    buttons(
      button(t("copy"), actions.copy),
      button(t("save_html"), () => actions.save("html")),
      button(t("save_json"), () => actions.save("json")),
      actions.recheck && button(t("check_again"), actions.recheck),
      actions.chooseModel && button(t("other_models"), actions.chooseModel),
      actions.askSpace && button(t("ask_space"), actions.askSpace),
      actions.openSpace && button(t("open_space"), actions.openSpace),
    ),
  ];
  return parts.filter((part) => part instanceof HTMLElement);
}

/**
 * Render progress, which is updated in place, so that a button is never replaced while it is pressed.
 * @param {Translate} t
 * @param {() => void} cancel
 * @returns {{nodes: HTMLElement[], update: (progress: import("../shared/labels.js").Progress) => void}}
 */
export function renderProgress(t, cancel) {
  const [title, detail, fill] = [h("h2"), h("p", { class: "detail" }), h("span")];
  const range = { "aria-valuemin": 0, "aria-valuemax": 100 };
  const bar = h("div", { class: "progress", role: "progressbar", "aria-label": t("progress"), ...range }, fill);
  const update = (/** @type {import("../shared/labels.js").Progress} */ now) => {
    const label = progressLabel(now, t);
    const share = Math.round(100 * now.fraction);
    [title.textContent, detail.textContent, fill.style.width] = [label.text, label.detail, `${share}%`];
    bar.setAttribute("aria-valuenow", String(share));
  };
  const head = h("header", { class: "head" }, icon("busy"), title);
  return { nodes: [head, detail, bar, buttons(button(t("cancel"), cancel))], update };
}

/**
 * Render a failure.
 * @param {FailedReport} report
 * @param {Translate} t
 * @param {Record<Action, () => void>} actions
 * @param {boolean} mayCapture
 * @param {(url: string) => void} choose one of the videos that were meant
 */
export function renderFailure(report, t, actions, mayCapture, choose) {
  const label = toLabel(report, t);
  const { code, message, choices } = report.error;
  const offered = nextActions(code).filter((action) => action !== "capture" || mayCapture);
  const offers = offered.map((action, place) => button(t(`action_${action}`), actions[action], place === 0));
  const text = h("p", { lang: "en", dir: "auto" }, message);
  const details = message ? [h("details", {}, h("summary", {}, t("space_said")), text)] : [];
  const head = [heading("failed", label.text, null), h("p", { class: "detail" }, label.detail)];
  const videos = choices.map((choice) => button(choiceText(choice), () => choose(choice.url)));
  const question = videos.length ? [h("p", { class: "detail" }, t("choices_title")), buttons(...videos)] : [];
  return [...head, ...question, ...details, buttons(...offers), hint(t("failure_says_nothing"))];
}

/**
 * Render the question whether captured frames may be sent.
 * @param {string} space
 * @param {number} count of frames
 * @param {Translate} t
 * @param {{once: () => void, always: () => void, no: () => void}} actions
 */
export function renderConsent(space, count, t, actions) {
  return [
    heading("uncertain", t("capture_title"), null),
    h("p", { class: "detail" }, t("capture_question", count, new URL(space).host)),
    hint(t("capture_effect")),
    buttons(
      button(t("capture_once"), actions.once, true),
      button(t("capture_always"), actions.always),
      button(t("not_now"), actions.no),
    ),
  ];
}

/**
 * Render the choice between models.
 * @param {{name: string}[]} models
 * @param {Translate} t
 * @param {(name: string) => void} choose
 */
export function renderModelChoice(models, t, choose) {
  const choices = models.map(({ name }) => button(name, () => choose(name)));
  return [heading("uncertain", t("models_title"), null), buttons(...choices)];
}

// --- parts

/** @param {import("../shared/report.js").Choice} choice */
function choiceText({ url, title, duration_seconds: seconds }) {
  const { host, pathname } = new URL(url);
  const length = seconds === null ? [] : [formatClock(seconds)];
  return [title ?? `${host}${pathname}`, ...length].join(" · ");
}

/** @param {import("../shared/labels.js").Tone} tone @param {string} text @param {string | null} title */
function heading(tone, text, title) {
  const kicker = title ? h("p", { class: "kicker", dir: "auto" }, title) : null;
  return h("header", { class: `head ${tone}` }, icon(tone), h("div", {}, h("h2", {}, text), kicker));
}

/** @param {number} chance @param {[number, number]} band @param {Translate} t */
function gauge(chance, band, t) {
  const [low, high] = band;
  const zone = (/** @type {string} */ tone, /** @type {number} */ share) => {
    const part = h("span", { class: `zone ${tone}` });
    part.style.width = `${100 * share}%`;
    return part;
  };
  const needle = h("span", { class: "needle" });
  needle.style.insetInlineStart = `${100 * chance}%`;
  const [number, ...edges] = [chance, low, high].map((value) => formatPercent(value, t));
  const zones = [zone("real", low), zone("uncertain", high - low), zone("fake", 1 - high)];
  const names = ["real", "uncertain", "fake"].map((tone) => h("span", {}, t(`label_${tone}`)));
  return h(
    "div",
    { class: "measure" },
    h("p", { class: "number" }, h("b", {}, number), ` ${t("probability")}`),
    h("div", { class: "gauge", role: "img", "aria-label": t("gauge", number ?? "", ...edges) }, ...zones, needle),
    h("p", { class: "legend", "aria-hidden": "true" }, ...names),
  );
}

/**
 * @param {Face} face
 * @param {number} number
 * @param {Translate} t
 * @param {((seconds: number) => void) | undefined} seek
 */
function faceCard(face, number, t, seek) {
  const name = t("face", number);
  const at = face.picture_seconds ?? face.first_seconds;
  const time = seek
    ? button(t("jump", formatClock(at)), () => seek(at))
    : h("span", { class: "hint" }, formatClock(at));
  const heatmap = picture(face.heatmap, t("heatmap", name));
  const caption = h("span", { class: "hint", "aria-hidden": "true" }, t("heatmap_caption"));
  const pictures = [picture(face.thumbnail, name), heatmap && h("div", {}, heatmap, caption)];
  const text = `${labelText(face.label, face.evidence, t)}, ${formatPercent(face.probability_fake, t)}`;
  const label = h("p", {}, icon(face.label), h("b", {}, `${name}: `), text);
  const scale = face.evidence && renderScale(face.evidence, null);
  const article = { class: "card", "aria-label": name };
  return h("article", article, h("div", { class: "pictures" }, ...pictures), h("div", {}, label, scale, time));
}

/**
 * Draw a picture on a canvas: the page's policy may forbid data: URLs in an <img>, also in this one.
 * @param {string | null} dataUrl JPEG
 * @param {string} name
 */
function picture(dataUrl, name) {
  if (!dataUrl) return null;
  const canvas = h("canvas", { width: 1, height: 1, role: "img", "aria-label": name, title: name });
  void paint(canvas, dataUrl).catch(() => canvas.remove());
  return canvas;
}

/** @param {HTMLCanvasElement} canvas @param {string} dataUrl */
async function paint(canvas, dataUrl) {
  const bitmap = await createImageBitmap(toBlob(dataUrl));
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
}

/** Tell how the frames came to the detector. @param {OkReport} report @param {Translate} t */
function originText(report, t) {
  const { frames } = report.coverage;
  if (isOnDevice(report)) return t("way_here", frames);
  return t(report.source.kind === "frames" ? "way_frames" : "way_url", frames);
}

/** @param {string} text */
function hint(text) {
  return h("p", { class: "hint" }, text);
}

/** @param {...import("../shared/dom.js").Child} children */
function buttons(...children) {
  return h("div", { class: "actions" }, ...children);
}

/** @param {string} text @param {() => void} onclick @param {boolean} [isPrimary] */
function button(text, onclick, isPrimary = false) {
  return h("button", { type: "button", class: isPrimary ? "primary" : "plain", onclick }, text);
}
