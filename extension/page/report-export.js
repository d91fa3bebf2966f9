/**
 * Reports that leave the page: a summary on the clipboard, JSON, or one HTML page that needs nothing else.
 *
 * @import { OkReport } from "../shared/report.js"
 * @import { Translate } from "../shared/i18n.js"
 */

import { h } from "../shared/dom.js";
import {
  evidenceTexts,
  formatClock,
  formatPercent,
  helpTexts,
  labelText,
  modelNames,
  originTexts,
  reasonText,
  toLabel,
} from "../shared/labels.js";

const STYLE = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
main{max-width:44rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}
img{width:128px;margin-inline-end:8px;border-radius:8px}`;

/** Escape a text for HTML. @param {unknown} text */
export function escapeHtml(text) {
  return String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/**
 * Write a report as a page.
 * @param {OkReport} report
 * @param {Translate} t
 * @param {{lang: string, dir: string}} attributes
 * @returns {string}
 */
export function toHtml(report, t, { lang, dir }) {
  const { text, detail } = toLabel(report, t);
  const { verdict, source } = report;
  const url = source.url && escapeHtml(source.url);
  const evidence = verdict.evidence && evidenceTexts(verdict.evidence, t);
  const ifRare = evidence?.ifRare && `${t("base_rate")} ${evidence.ifRare}`;
  const graded = evidence ? [evidence.grade, evidence.frequency, ifRare] : [];
  const origin = originTexts(report, t);
  const said = [origin.head, ...origin.rest, ...graded, ...helpTexts(verdict, t)].filter(Boolean);
  const reasons = verdict.reasons.map((code) => `<li>${escapeHtml(reasonText(code, t))}</li>`);
  const parts = [
    `<h1>${escapeHtml(text)}</h1><p>${escapeHtml(detail)}</p>`,
    ...said.map((line) => `<p>${escapeHtml(line)}</p>`),
    source.title ? `<p><bdi>${escapeHtml(source.title)}</bdi></p>` : "",
    `<p>${url ? `<a href="${url}" rel="noreferrer nofollow">${url}</a>` : escapeHtml(source.name)}</p>`,
    `<ul>${reasons.join("")}</ul>`,
    ...report.faces.map((face, place) => faceHtml(face, t("face", place + 1), t)),
    `<h2>${escapeHtml(t("timeline"))}</h2><ol>${report.timeline.map((span) => spanHtml(span, t)).join("")}</ol>`,
    `<p>${escapeHtml(t("summary_models", modelNames(report)))}</p>`,
    `<p>${escapeHtml(t("no_proof"))}</p>`,
  ];
  return `<!doctype html><html lang="${lang}" dir="${dir}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Unmask: ${escapeHtml(text)}</title>
<style>${STYLE}</style><main>${parts.join("\n")}</main></html>`;
}

/** @param {import("../shared/report.js").Face} face @param {string} name @param {Translate} t */
function faceHtml(face, name, t) {
  const pictures = [face.thumbnail, face.heatmap].flatMap((picture) => picture ?? []);
  const images = pictures.map((picture) => `<img alt="" src="${escapeHtml(picture)}">`).join("");
  const text = `${labelText(face.label, face.evidence, t)}, ${formatPercent(face.probability_fake, t)}`;
  return `<section><h2>${escapeHtml(name)}</h2><p>${escapeHtml(text)}</p>${images}</section>`;
}

/** @param {import("../shared/report.js").Span} span @param {Translate} t */
function spanHtml({ start_seconds, end_seconds, probability_fake, label }, t) {
  const text = `${t(`label_${label}`)}, ${formatPercent(probability_fake, t)}`;
  return `<li>${formatClock(start_seconds)}–${formatClock(end_seconds)}: ${escapeHtml(text)}</li>`;
}

/**
 * Write a report as JSON: where a Space signed it as that did, so that the signature can be checked.
 * @param {OkReport} report
 */
export function toJson({ signed, ...report }) {
  return JSON.stringify(signed ?? report, null, 1);
}

/**
 * Save a report as a file.
 * @param {OkReport} report
 * @param {"json" | "html"} kind
 * @param {Translate} t
 * @param {{lang: string, dir: string}} attributes
 */
export function saveReport(report, kind, t, attributes) {
  if (kind === "json") return saveFile(toJson(report), "application/json", "unmask-report.json");
  return saveFile(toHtml(report, t, attributes), "text/html", "unmask-report.html");
}

/**
 * Copy a text; on a page without a secure connection, which has no clipboard, through a text area.
 * @param {string} text
 * @param {HTMLElement} parent of the text area; has the focus
 */
export async function copyText(text, parent) {
  await (navigator.clipboard?.writeText(text) ?? Promise.reject()).catch(() => {
    const area = h("textarea");
    area.value = text;
    parent.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  });
}

/**
 * Save a text as a file.
 * @param {string} text
 * @param {string} type
 * @param {string} name
 */
export function saveFile(text, type, name) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
