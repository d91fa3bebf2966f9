/** Chromium's document in which the detector's worker lives. Closes itself when it is idle. */

import { WorkerHost } from "../on_device/worker-host.js";
import { onDetectorConnect } from "./background-browser.js";

const host = new WorkerHost(() => close());
onDetectorConnect((port) => host.serve(port));
