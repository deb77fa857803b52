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
