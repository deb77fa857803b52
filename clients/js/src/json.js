/** JSON of a peer, which may be anything. */

/**
 * @param {string} text
 * @returns {any} null for what makes no sense
 */
export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * A value's words; "" where it is no string. What is no string may have a `toString` that is no function.
 *
 * @param {unknown} value
 */
export const words = (value) => (typeof value === "string" ? value : "");

/**
 * Whether a value can be waited for; `null` and the like would compare as numbers.
 *
 * @param {unknown} value
 * @returns {value is number}
 */
export const isDuration = (value) => typeof value === "number" && value >= 0;
