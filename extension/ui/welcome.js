/** The page that is shown once, after the installation. */

import { localizePage, openTab, readLocale } from "../shared/browser.js";
import { logo } from "../shared/icons.js";
import { byId } from "./elements.js";

localizePage(await readLocale(), document);
byId("top").prepend(logo());
byId("options").addEventListener("click", () => void openTab("ui/options.html"));
