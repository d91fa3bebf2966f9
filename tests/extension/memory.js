/** A storage area in memory that, like a browser's, answers later and copies. */
export class Memory {
  /** @type {Record<string, unknown>} */
  items = {};
  all = async () => structuredClone(this.items);
  get = async (/** @type {string[]} */ keys) =>
    structuredClone(Object.fromEntries(keys.filter((key) => key in this.items).map((key) => [key, this.items[key]])));
  set = async (/** @type {Record<string, unknown>} */ items) => void Object.assign(this.items, structuredClone(items));
  remove = async (/** @type {string[]} */ keys) => keys.forEach((key) => delete this.items[key]);
}
