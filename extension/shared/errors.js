/** The error that checks raise, with a stable code. */

/** Raised when a check fails; its code is one of `labels.ERROR_CODES`. */
export class CheckError extends Error {
  /** @param {string} code @param {string} [message] */
  constructor(code, message = code) {
    super(message);
    this.code = code;
  }
}
