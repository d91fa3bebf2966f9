/** The history page: search, open, export and delete reports, all of which stay on this computer. */

import { renderReport } from "../page/panel.js";
import { copyText, saveFile, saveReport } from "../page/report-export.js";
import { localArea, localizePage, readLocale, sendToBackground } from "../shared/browser.js";
import { h } from "../shared/dom.js";
import { languageAttributes } from "../shared/i18n.js";
import { icon, logo } from "../shared/icons.js";
import { formatAge, formatPercent, labelText, summarize } from "../shared/labels.js";
import { isOnDevice, parseReport } from "../shared/report.js";
import { ReportCache } from "../shared/report-cache.js";
import { parseWebUrl } from "../shared/urls.js";
import { byId, inputById, showAsInPanel } from "./elements.js";

/** @typedef {import("../shared/report-cache.js").HistoryEntry} HistoryEntry */

const cache = new ReportCache(localArea());
const locale = await readLocale();
const attributes = languageAttributes(locale.language);
const t = localizePage(locale, document);
byId("top").prepend(logo());
inputById("search").placeholder = t("history_search");
byId("search").addEventListener("input", () => void show());
byId("export").addEventListener("click", () => void exportAll());
byId("clear").addEventListener("click", () => void clear());
await show();

async function show() {
  const entries = await findEntries();
  byId("status").textContent = t("history_count", entries.length);
  byId("entries").replaceChildren(...entries.map(entryItem));
}

/** List the entries that hold every word of the search. */
async function findEntries() {
  const words = inputById("search").value.toLowerCase().split(/\s+/);
  const textOf = (/** @type {HistoryEntry} */ { title, url, label, evidence }) =>
    `${title} ${url} ${labelText(label, evidence, t)}`.toLowerCase();
  return (await cache.entries()).filter((entry) => words.every((word) => textOf(entry).includes(word)));
}

/** @param {HistoryEntry} entry */
function entryItem(entry) {
  const { key, label, evidence, probability, savedAt, models } = entry;
  const title = entry.title || entry.url;
  const href = parseWebUrl(entry.url)?.href;
  const link = { href, rel: "noreferrer", target: "_blank", dir: "auto" };
  const name = href ? h("a", link, title) : h("span", { dir: "auto" }, title);
  const chance = probability === null ? "" : `, ${formatPercent(probability, t)}`;
  const facts = [formatAge(savedAt, Date.now(), attributes.lang), models].filter(Boolean).join(" · ");
  const sheet = h("div", { class: "report", hidden: true });
  const open = h("button", { type: "button", "aria-expanded": "false" }, t("history_open"));
  open.setAttribute("aria-label", t("history_show", title));
  open.addEventListener("click", () => void toggle(entry, open, sheet));
  const remove = h("button", { type: "button", "aria-label": t("history_remove", title) }, t("remove"));
  remove.addEventListener("click", () => void removeEntries([key]));
  const head = h("b", {}, `${labelText(label, evidence, t)}${chance}`);
  const text = h("div", {}, head, h("p", {}, name), h("p", { class: "hint" }, facts));
  return h("li", { class: "entry" }, icon(label), text, open, remove, sheet);
}

/**
 * Open the report of an entry, or close it.
 * @param {HistoryEntry} entry
 * @param {HTMLElement} button
 * @param {HTMLElement} sheet
 */
async function toggle(entry, button, sheet) {
  const report = parseReport((await cache.find(entry.key))?.report);
  if (!sheet.shadowRoot && report.status === "ok") fillSheet(entry, report, sheet);
  sheet.hidden = !sheet.hidden;
  button.setAttribute("aria-expanded", String(!sheet.hidden));
}

/**
 * Render a report as in the panel.
 * @param {HistoryEntry} entry
 * @param {import("../shared/report.js").OkReport} report
 * @param {HTMLElement} sheet
 */
function fillSheet(entry, report, sheet) {
  const status = h("p", { class: "live", role: "status" });
  const content = h("section", { class: "sheet" });
  const url = report.source.kind === "frames" ? null : entry.url;
  const openSpace = () => void sendToBackground({ type: "open", path: "space", url });
  const actions = {
    copy: () => void copyText(summarize(report, t), content).then(() => (status.textContent = t("copied"))),
    save: (/** @type {"json" | "html"} */ kind) => saveReport(report, kind, t, attributes),
    ...(isOnDevice(report) ? {} : { openSpace }),
  };
  const options = { t, language: attributes.lang, actions, title: report.source.title ?? "" };
  content.append(...renderReport(report, entry.savedAt, options), status);
  showAsInPanel(sheet, attributes, content);
}

/** @param {string[]} keys */
async function removeEntries(keys) {
  await cache.remove(keys);
  await show();
}

async function clear() {
  const entries = await findEntries();
  if (confirm(t("history_sure", entries.length))) await removeEntries(entries.map((entry) => entry.key));
}

async function exportAll() {
  const withReport = async (/** @type {HistoryEntry} */ entry) => ({
    ...entry,
    report: (await cache.find(entry.key))?.report,
  });
  const found = await Promise.all((await findEntries()).map(withReport));
  saveFile(JSON.stringify(found, null, 1), "application/json", "unmask-history.json");
}
