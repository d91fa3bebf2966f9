import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

import constants from "../../extension/shared/constants.js";
import { ERROR_CODES } from "../../extension/shared/labels.js";
import { chooseLanguage, languageAttributes, LANGUAGES, toTranslate } from "../../extension/shared/i18n.js";

const folder = new URL("../../extension/", import.meta.url);
const read = (/** @type {string} */ path) => readFileSync(new URL(path, folder), "utf8");
const table = (/** @type {string} */ language) => JSON.parse(read(`_locales/${language}/messages.json`));
const english = table("en");

const stages = "queued fetch decode faces model explain done capture send".split(" ");
const families = {
  error: ERROR_CODES,
  next: ERROR_CODES,
  reason: constants.report.REASONS,
  stage: stages,
  label: ["fake", "real", "uncertain", "no_face"],
  detail: ["fake", "real", "uncertain", "no_face", "lean"],
  action: ["retry", "capture", "settings"],
  lean: ["fake", "real", "none"],
  side: ["fake", "real"],
  strength: ["strong", "moderate", "weak", "none"],
  help: ["longer", "original"],
  credentials: ["trusted", "valid", "invalid", "unchecked", "none", "unread"],
  made: ["ai", "part_ai", "software", "edited", "camera", "unsaid"],
  problem: ["changed", "expired", "damaged", "uncovered"],
  ingredient: ["parentOf", "componentOf", "inputTo"],
};

test("every code has its message; the other keys are checked as types of `Translate`", () => {
  const keys = Object.entries(families).flatMap(([family, codes]) => codes.map((code) => `${family}_${code}`));
  assert.deepEqual(
    keys.filter((key) => !(key in english)),
    [],
  );
});

for (const page of ["ui/history.html", "ui/options.html", "ui/popup.html", "ui/welcome.html", "manifest.json"]) {
  test(`every message that ${page} shows exists`, () => {
    const keys = [...read(page).matchAll(/data-(?:text|label)="(\w+)"|__MSG_(\w+)__/g)].map(([, a, b]) => a ?? b ?? "");
    assert.ok(keys.length);
    for (const key of keys) assert.ok(key in english, key);
  });
}

test("the languages of the interface are the folders of _locales", () => {
  assert.deepEqual(readdirSync(new URL("_locales", folder)).sort(), [...LANGUAGES].sort());
});

for (const language of LANGUAGES) {
  test(`${language} has the keys and the places of English, and nothing empty`, () => {
    const own = table(language);
    assert.deepEqual(Object.keys(own).sort(), Object.keys(english).sort());
    const places = (/** @type {string} */ message) => [...message.matchAll(/\$\d/g)].map(String).sort();
    for (const [key, { message }] of Object.entries(own)) {
      assert.ok(message.trim(), key);
      assert.deepEqual(places(message), places(english[key].message), key);
      assert.doesNotMatch(message, /[<>]/, key);
    }
  });
}

test("values are put in their places, and only there", () => {
  /** @type {any} */
  const t = toTranslate({ a: { message: "$2 before $1" } }, { b: { message: "fallback" } });
  assert.equal(t("a", "$2", 7), "7 before $2");
  assert.deepEqual([t("b"), t("c"), t("constructor")], ["fallback", "c", "constructor"]);
});

test("the browser's language is taken where there is one, otherwise English", () => {
  const chosen = [
    ["auto", "de-AT"],
    ["auto", "zh-TW"],
    ["auto", "xx"],
    ["fr", "de"],
    ["klingon", "es"],
  ].map(([wanted = "", browser = ""]) => chooseLanguage(wanted, browser));
  assert.deepEqual(chosen, ["de", "zh_CN", "en", "fr", "es"]);
  assert.deepEqual(
    [languageAttributes("ar"), languageAttributes("zh_CN")],
    [
      { lang: "ar", dir: "rtl" },
      { lang: "zh-CN", dir: "ltr" },
    ],
  );
});
