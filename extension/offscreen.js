/** Chromium's place for checks on this computer, as its worker may not begin another one. Closes itself when idle. */

import { onLocalCheck } from "./browser.js";
import { Host } from "./local/host.js";

const host = new Host(() => close());
onLocalCheck((asked, onProgress, signal) => host.check(asked, onProgress, signal));
