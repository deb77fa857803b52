/** An EventTarget whose events are named with what they carry. The types only: at run time it is the platform's. */

/**
 * @template {Record<string, any>} Events what `detail` is, by the event's type
 * @typedef {Omit<EventTarget, "addEventListener" | "removeEventListener"> & {
 *   addEventListener<T extends keyof Events & string>(type: T, listener: ((event: CustomEvent<Events[T]>) => void) | null, options?: boolean | AddEventListenerOptions): void;
 *   removeEventListener<T extends keyof Events & string>(type: T, listener: ((event: CustomEvent<Events[T]>) => void) | null, options?: boolean | EventListenerOptions): void;
 * }} TypedTarget
 */

/**
 * @template {Record<string, any>} Events
 * @template {keyof Events & string} T
 * @param {TypedTarget<Events>} target
 * @param {T} type
 * @param {Events[T]} detail
 */
export function emit(target, type, detail) {
  target.dispatchEvent(new CustomEvent(type, { detail }));
}

/**
 * Tells of a state, and of one that needs the application by its own name too.
 *
 * @param {TypedTarget<any>} target
 * @param {import("./link.js").Status} status
 */
export function emitState(target, status) {
  const { state, why } = status;
  emit(target, "state", status);
  if (["gaveup", "stopped", "forbidden"].includes(state)) emit(target, state, { why });
}
