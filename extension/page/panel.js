/**
 * What the panel holds: an answer, progress, a failure, or a question before pictures are taken.
 *
 * @typedef {import("../shared/report.js").OkReport} OkReport
 * @typedef {import("../shared/report.js").FailedReport} FailedReport
 * @typedef {import("../shared/report.js").Face} Face
 * @typedef {import("../shared/labels.js").Action} Action
 * @typedef {import("../shared/i18n.js").Words} Words
 *
 * @typedef {object} Deeds what the buttons do; those that are left out have no button
 * @property {(seconds: number) => void} [seek]
 * @property {() => void} copy
 * @property {(kind: "json" | "html") => void} save
 * @property {() => void} [again]
 * @property {() => void} [models]
 * @property {() => void} [openSpace]
 * @property {() => void} [askSpace] for a second opinion
 */

import { age, clock, nextActions, percent, progressLabel, reason, toLabel, toneOf } from "../shared/labels.js";
import { isFromHere } from "../shared/report.js";
import { h } from "../shared/dom.js";
import { icon } from "../shared/icons.js";

/**
 * @param {OkReport} report
 * @param {number | null} savedAt ms, of a remembered report
 * @param {{words: Words, language: string, deeds: Deeds, title: string}} speech title: of the page, where it has one
 * @returns {HTMLElement[]}
 */
export function answer(report, savedAt, { words, language, deeds, title }) {
  const { verdict, source } = report;
  const label = toLabel(report, words);
  const chance = verdict.probability_fake;
  return [
    heading(label.tone, label.text, title || source.title),
    h("p", { class: "detail" }, label.detail),
    ...(chance === null ? [] : [gauge(chance, verdict.band, words)]),
    reasons(verdict.reasons, words),
    ...(report.faces.length ? [faces(report, words, deeds.seek)] : []),
    ...notes(report, savedAt, words, language),
    actions(words, deeds),
  ];
}

/**
 * Changed in place while it goes on, so that a button is never replaced under a finger.
 *
 * @param {Words} words
 * @param {() => void} cancel
 * @returns {{nodes: HTMLElement[], update: (progress: import("../shared/labels.js").Progress) => void}}
 */
export function progress(words, cancel) {
  const [title, detail, fill] = [h("h2"), h("p", { class: "detail" }), h("span")];
  const bar = h("div", { class: "progress", role: "progressbar", "aria-label": words("progress"), "aria-valuemin": 0, "aria-valuemax": 100 }, fill);
  const update = (/** @type {import("../shared/labels.js").Progress} */ now) => {
    const label = progressLabel(now, words);
    const share = Math.round(100 * now.fraction);
    [title.textContent, detail.textContent, fill.style.width] = [label.text, label.detail, `${share}%`];
    bar.setAttribute("aria-valuenow", String(share));
  };
  const head = h("header", { class: "head" }, icon("busy"), title);
  return { nodes: [head, detail, bar, buttons(button(words("cancel"), cancel))], update };
}

/**
 * @param {FailedReport} report
 * @param {Words} words
 * @param {Record<Action, () => void>} does
 * @param {boolean} mayCapture
 */
export function failure(report, words, does, mayCapture) {
  const label = toLabel(report, words);
  const { code, message } = report.error;
  const offered = nextActions(code).filter((action) => action !== "capture" || mayCapture);
  const offers = offered.map((action, place) => button(words(`action_${action}`), does[action], place === 0));
  const said = message ? h("details", {}, h("summary", {}, words("space_said")), h("p", { lang: "en", dir: "auto" }, message)) : null;
  const hint = h("p", { class: "hint" }, words("failure_says_nothing"));
  return [heading("failed", label.text, null), h("p", { class: "detail" }, label.detail), ...(said ? [said] : []), buttons(...offers), hint];
}

/** @param {string} space @param {number} count of pictures @param {Words} words @param {{once: () => void, always: () => void, no: () => void}} does */
export function question(space, count, words, does) {
  return [
    heading("uncertain", words("capture_title"), null),
    h("p", { class: "detail" }, words("capture_question", count, new URL(space).host)),
    h("p", { class: "hint" }, words("capture_effect")),
    buttons(button(words("capture_once"), does.once, true), button(words("capture_always"), does.always), button(words("not_now"), does.no)),
  ];
}

/** @param {{name: string}[]} models @param {Words} words @param {(name: string) => void} choose */
export function modelChoice(models, words, choose) {
  return [heading("uncertain", words("models_title"), null), buttons(...models.map(({ name }) => button(name, () => choose(name))))];
}

// --- pieces

/** @param {import("../shared/labels.js").Tone} tone @param {string} text @param {string | null} title */
function heading(tone, text, title) {
  const kicker = title ? h("p", { class: "kicker", dir: "auto" }, title) : null;
  return h("header", { class: `head ${tone}` }, icon(tone), h("div", {}, h("h2", {}, text), kicker));
}

/** @param {number} chance @param {[number, number]} band @param {Words} words */
function gauge(chance, band, words) {
  const [low, high] = band.map((edge) => 100 * edge);
  const zone = (/** @type {string} */ tone, /** @type {number} */ width) => {
    const part = h("span", { class: `zone ${tone}` });
    part.style.width = `${width}%`;
    return part;
  };
  const needle = h("span", { class: "needle" });
  needle.style.insetInlineStart = `${100 * chance}%`;
  const said = words("gauge", percent(chance, words), percent(band[0], words), percent(band[1], words));
  const scale = h("div", { class: "gauge", role: "img", "aria-label": said }, zone("real", low ?? 0), zone("uncertain", (high ?? 0) - (low ?? 0)), zone("fake", 100 - (high ?? 0)), needle);
  const legend = h("p", { class: "legend", "aria-hidden": "true" }, h("span", {}, words("label_real")), h("span", {}, words("label_uncertain")), h("span", {}, words("label_fake")));
  return h("div", { class: "measure" }, h("p", { class: "number" }, h("b", {}, percent(chance, words)), ` ${words("probability")}`), scale, legend);
}

/** @param {string[]} codes @param {Words} words */
function reasons(codes, words) {
  return h("ul", { class: "reasons" }, ...codes.map((code) => h("li", {}, reason(code, words))));
}

/** @param {OkReport} report @param {Words} words @param {((seconds: number) => void) | undefined} seek */
function faces(report, words, seek) {
  const cards = report.faces.map((face, place) => faceCard(face, place + 1, report, words, seek));
  return h("div", { class: "faces" }, ...cards);
}

/** @param {Face} face @param {number} number @param {OkReport} report @param {Words} words @param {((seconds: number) => void) | undefined} seek */
function faceCard(face, number, report, words, seek) {
  const name = words("face", number);
  const tone = toneOf(face.probability_fake, report.verdict.band);
  const at = face.picture_seconds ?? face.first_seconds;
  const jump = seek ? button(words("jump", clock(at)), () => seek(at)) : h("span", { class: "hint" }, clock(at));
  const marked = picture(face.heatmap, words("heatmap", name));
  const caption = h("span", { class: "hint", "aria-hidden": "true" }, words("heatmap_caption"));
  const pictures = h("div", { class: "pictures" }, picture(face.thumbnail, name), marked && h("div", {}, marked, caption));
  const said = h("p", {}, icon(tone), h("b", {}, `${name}: `), `${words(`label_${tone}`)}, ${percent(face.probability_fake, words)}`);
  return h("article", { class: "card", "aria-label": name }, pictures, h("div", {}, said, jump));
}

/**
 * Drawn on a canvas: the page's policy may forbid data: pictures, and an <img> here would obey it.
 *
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
  const bytes = Uint8Array.from(atob(dataUrl.slice(dataUrl.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
}

/** @param {OkReport} report @param {number | null} savedAt @param {Words} words @param {string} language */
function notes(report, savedAt, words, language) {
  const models = report.models.map(({ name, revision }) => `${name} ${revision.slice(0, 8)}`.trim()).join(", ");
  const hasHeatmap = report.faces.some((face) => face.heatmap);
  const warnings = report.warnings.map((warning) => h("p", { class: "hint", lang: "en", dir: "auto" }, warning));
  return [
    ...warnings,
    h("p", { class: "hint" }, wayOf(report, words), " ", words("summary_models", models)),
    ...(savedAt === null ? [] : [h("p", { class: "hint" }, words("remembered", age(savedAt, Date.now(), language)))]),
    ...(hasHeatmap ? [h("p", { class: "hint" }, words("heatmap_hint"))] : []),
    h("p", { class: "hint" }, words("no_proof")),
  ];
}

/** How the pictures came to the detector. @param {OkReport} report @param {Words} words */
function wayOf(report, words) {
  const { frames } = report.coverage;
  if (isFromHere(report)) return words("way_here", frames);
  return words(report.source.kind === "frames" ? "way_frames" : "way_url", frames);
}

/** @param {Words} words @param {Deeds} deeds */
function actions(words, deeds) {
  return buttons(
    button(words("copy"), deeds.copy),
    button(words("save_html"), () => deeds.save("html")),
    button(words("save_json"), () => deeds.save("json")),
    ...(deeds.again ? [button(words("check_again"), deeds.again)] : []),
    ...(deeds.models ? [button(words("other_models"), deeds.models)] : []),
    ...(deeds.askSpace ? [button(words("ask_space"), deeds.askSpace)] : []),
    ...(deeds.openSpace ? [button(words("open_space"), deeds.openSpace)] : []),
  );
}

/** @param {...HTMLElement} children */
function buttons(...children) {
  return h("div", { class: "actions" }, ...children);
}

/** @param {string} text @param {() => void} onclick @param {boolean} [primary] */
function button(text, onclick, primary = false) {
  return h("button", { type: "button", class: primary ? "primary" : "plain", onclick }, text);
}
