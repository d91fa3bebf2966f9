/** Chromium's place for checks on this computer, as its worker may not begin another one. Closes itself when idle. */

import { onLocalCheck } from "../shared/browser.js";
import { Host } from "../on_device/worker-host.js";
import { Windows } from "../shared/frame-stream.js";

const host = new Host(() => close());
onLocalCheck((tell, signal) => {
  const windows = new Windows(signal);
  return (said) => {
    if ("frames" in said) windows.take(said.frames);
    else void host.check({ ...said, windows }, tell, signal).then((report) => tell({ report }), (error) => tell({ problem: String(error) }));
  };
});
