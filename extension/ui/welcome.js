/** Shown once, after the extension was installed: five sentences. */

import { openTab, readSpeech, speak } from "./browser.js";
import { logo } from "./page/icons.js";

speak(await readSpeech(), document);
document.getElementById("top")?.prepend(logo());
document.getElementById("options")?.addEventListener("click", () => void openTab("options.html"));
