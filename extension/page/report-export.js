/**
 * A report to keep: a few lines on the clipboard, JSON, or one HTML page that needs nothing else.
 *
 * @typedef {import("../shared/report.js").OkReport} OkReport
 * @typedef {import("../shared/i18n.js").Words} Words
 */

import { clock, percent, reason, toLabel, toneOf } from "../shared/labels.js";
import { h } from "../shared/dom.js";

/** @param {unknown} text */
export function escape(text) {
  return String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** @param {OkReport} report @param {Words} words @param {{lang: string, dir: string}} language @returns {string} */
export function toHtml(report, words, { lang, dir }) {
  const { text, detail } = toLabel(report, words);
  const { verdict, source } = report;
  const where = source.url ? `<a href="${escape(source.url)}" rel="noreferrer nofollow">${escape(source.url)}</a>` : escape(source.name);
  const parts = [
    `<h1>${escape(text)}</h1><p>${escape(detail)}</p>`,
    source.title ? `<p><bdi>${escape(source.title)}</bdi></p>` : "",
    `<p>${where}</p>`,
    `<ul>${verdict.reasons.map((code) => `<li>${escape(reason(code, words))}</li>`).join("")}</ul>`,
    ...report.faces.map((face, place) => faceHtml(face, place + 1, report, words)),
    `<h2>${escape(words("timeline"))}</h2><ol>${report.timeline.map((span) => momentHtml(span, words)).join("")}</ol>`,
    `<p>${escape(words("summary_models", report.models.map(({ name, revision }) => `${name} ${revision}`).join(", ")))}</p>`,
    `<p>${escape(words("no_proof"))}</p>`,
  ];
  return `<!doctype html><html lang="${lang}" dir="${dir}"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Unmask: ${escape(text)}</title><style>${STYLE}</style><main>${parts.join("\n")}</main></html>`;
}

const STYLE = ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}main{max-width:44rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}img{width:128px;margin-inline-end:8px;border-radius:8px}";

/** @param {import("../shared/report.js").Face} face @param {number} number @param {OkReport} report @param {Words} words */
function faceHtml(face, number, report, words) {
  const name = words("face", number);
  const pictures = [face.thumbnail, face.heatmap].map((picture) => (picture ? `<img alt="" src="${escape(picture)}">` : "")).join("");
  const label = words(`label_${toneOf(face.probability_fake, report.verdict.band)}`);
  return `<section><h2>${escape(name)}</h2><p>${escape(label)}, ${escape(percent(face.probability_fake, words))}</p>${pictures}</section>`;
}

/** @param {import("../shared/report.js").Span} span @param {Words} words */
function momentHtml(span, words) {
  return `<li>${clock(span.start_seconds)}–${clock(span.end_seconds)}: ${escape(percent(span.probability_fake, words))}</li>`;
}

/** @param {OkReport} report @param {"json" | "html"} kind @param {Words} words @param {{lang: string, dir: string}} language */
export function save(report, kind, words, language) {
  if (kind === "json") return download(JSON.stringify(report, null, 1), "application/json", "unmask-report.json");
  return download(toHtml(report, words, language), "text/html", "unmask-report.html");
}

/** @param {string} text @param {HTMLElement} near what has the focus */
export async function copy(text, near) {
  await (navigator.clipboard?.writeText(text) ?? Promise.reject()).catch(() => copyTheOldWay(text, near));
}

/** On a page without a secure connection there is no clipboard. @param {string} text @param {HTMLElement} near */
function copyTheOldWay(text, near) {
  const area = document.createElement("textarea");
  area.value = text;
  near.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** @param {string} text @param {string} type @param {string} name of the file */
export function download(text, type, name) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
