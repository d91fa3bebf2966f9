/** Remembered reports: search, open, export, delete. Everything stays on this machine. */

import { fileUrl, local, readSpeech, speak, tellWorker } from "../shared/browser.js";
import { Cache } from "../shared/report-cache.js";
import { age, percent, summary } from "../shared/labels.js";
import { h } from "../shared/dom.js";
import { icon, logo } from "../shared/icons.js";
import { answer } from "../page/panel.js";
import { copy, download, save as saveReport } from "../page/report-export.js";
import { isFromHere, toReport, webAddress } from "../shared/report.js";
import { direction, tag } from "../shared/i18n.js";

/** @typedef {import("../shared/report-cache.js").Entry} Entry */

/** @param {string} id @returns {HTMLInputElement} */
const input = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id));

const cache = new Cache(local());
const speech = await readSpeech();
const words = speak(speech, document);
input("top").prepend(logo());
input("search").placeholder = words("history_search");
input("search").addEventListener("input", () => void show());
input("export").addEventListener("click", () => void save());
input("clear").addEventListener("click", () => void clear());
await show();

async function show() {
  const entries = await wanted();
  input("said").textContent = words("history_count", entries.length);
  input("entries").replaceChildren(...entries.map(line));
}

/** Entries that hold every word that is searched for. */
async function wanted() {
  const sought = input("search").value.toLowerCase().split(/\s+/);
  const text = (/** @type {Entry} */ entry) => `${entry.title} ${entry.url} ${words(`label_${entry.label}`)}`.toLowerCase();
  return (await cache.history()).filter((entry) => sought.every((word) => text(entry).includes(word)));
}

/** @param {Entry} entry */
function line(entry) {
  const chance = entry.probability === null ? "" : `, ${percent(entry.probability, words)}`;
  const link = webAddress(entry.url);
  const title = entry.title || entry.url;
  const facts = [age(entry.savedAt, Date.now(), tag(speech.language)), entry.models].filter(Boolean).join(" · ");
  const remove = h("button", { type: "button", "aria-label": words("history_remove", title), onclick: () => void forget([entry.key]) }, words("remove"));
  const sheet = h("div", { class: "report", hidden: true });
  const open = h("button", { type: "button", "aria-expanded": "false", "aria-label": words("history_show", title), onclick: () => void toggle(entry, open, sheet) }, words("history_open"));
  const name = link ? h("a", { href: link, rel: "noreferrer", target: "_blank", dir: "auto" }, title) : h("span", { dir: "auto" }, title);
  return h("li", { class: "entry" }, icon(entry.label), h("div", {}, h("b", {}, `${words(`label_${entry.label}`)}${chance}`), h("p", {}, name), h("p", { class: "hint" }, facts)), open, remove, sheet);
}

/** Open the whole report of an entry, or close it. @param {Entry} entry @param {HTMLElement} open @param {HTMLElement} sheet */
async function toggle(entry, open, sheet) {
  const report = toReport((await cache.find(entry.key))?.report);
  if (!sheet.shadowRoot && report.status === "ok") fillSheet(entry, report, sheet);
  sheet.hidden = !sheet.hidden;
  open.setAttribute("aria-expanded", String(!sheet.hidden));
}

/** As in the panel, with its style sheet to itself. @param {Entry} entry @param {import("../shared/report.js").OkReport} report @param {HTMLElement} sheet */
function fillSheet(entry, report, sheet) {
  const language = { lang: tag(speech.language), dir: direction(speech.language) };
  const said = h("p", { class: "live", role: "status" });
  const deeds = {
    copy: () => void copy(summary(report, words), inside).then(() => (said.textContent = words("copied"))),
    save: (/** @type {"json" | "html"} */ kind) => saveReport(report, kind, words, language),
    ...(isFromHere(report) ? {} : { openSpace: () => void tellWorker({ type: "open", path: "space", url: report.source.kind === "frames" ? null : entry.url }) }),
  };
  const inside = h("section", { class: "sheet" }, ...answer(report, entry.savedAt, { words, language: language.lang, deeds, title: report.source.title ?? "" }), said);
  const style = h("link", { rel: "stylesheet", href: fileUrl("page/overlay.css") });
  sheet.attachShadow({ mode: "open" }).append(style, h("div", { class: "root", ...language }, inside));
}

/** @param {string[]} keys */
async function forget(keys) {
  await cache.forget(keys);
  await show();
}

async function clear() {
  const entries = await wanted();
  if (confirm(words("history_sure", entries.length))) await forget(entries.map((entry) => entry.key));
}

async function save() {
  const found = await Promise.all((await wanted()).map(async (entry) => ({ ...entry, report: (await cache.find(entry.key))?.report })));
  download(JSON.stringify(found, null, 1), "application/json", "unmask-history.json");
}
