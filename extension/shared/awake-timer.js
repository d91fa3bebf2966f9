/** Time limits that do not end while the computer sleeps. */

const STEP_MS = 1000; // as much of a limit may pass in a sleep

/**
 * Call back after a time in which the computer is awake.
 * @param {number} ms
 * @param {() => void} callback
 * @returns {() => void} stops the timer
 */
export function afterAwake(ms, callback) {
  let steps = Math.ceil(ms / STEP_MS);
  const step = () => --steps === 0 && (stop(), callback());
  const timer = setInterval(step, Math.min(ms, STEP_MS));
  const stop = () => clearInterval(timer);
  return stop;
}
