/** Shown once, after the extension was installed: five sentences. */

import { openTab, readSpeech, speak } from "../shared/browser.js";
import { logo } from "../shared/icons.js";

speak(await readSpeech(), document);
document.getElementById("top")?.prepend(logo());
document.getElementById("options")?.addEventListener("click", () => void openTab("ui/options.html"));
