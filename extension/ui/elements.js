/** Elements of the extension's own pages. */

/** Get an element of the page. @param {string} id @returns {HTMLElement} */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Get an input, or a select, of the page. @param {string} id @returns {HTMLInputElement} */
export const inputById = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id));
