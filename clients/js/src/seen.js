/** Ids that were seen already: after a crash of the server a kept message may come twice (PROTOCOL §7). */

const SEEN_LIMIT = 1_000;
/** Characters; a UUID has 36, and a longer one is not worth its memory. */
const LONGEST_ID = 256;

/** @param {unknown} id */
export const isId = (id) => typeof id === "string" && id.length <= LONGEST_ID;

/** @returns {(id: unknown) => boolean} whether this id was among the last; from now on it is. What is no id never is */
export function makeSeen() {
  const ids = new Set();
  return (id) => {
    if (!isId(id)) return false;
    const isKnown = ids.delete(id);
    ids.add(id);
    if (ids.size > SEEN_LIMIT) ids.delete(ids.keys().next().value);
    return isKnown;
  };
}
