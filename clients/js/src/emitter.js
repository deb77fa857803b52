/** An EventTarget whose events are named with what they carry: types only, at run time it is the platform's. */

/**
 * @template {Record<string, any>} Events what `detail` is, by the event's type
 * @typedef {Omit<EventTarget, "addEventListener" | "removeEventListener"> & {
 *   addEventListener<T extends keyof Events & string>(type: T, listener: ((event: CustomEvent<Events[T]>) => void) | null, options?: boolean | AddEventListenerOptions): void;
 *   removeEventListener<T extends keyof Events & string>(type: T, listener: ((event: CustomEvent<Events[T]>) => void) | null, options?: boolean | EventListenerOptions): void;
 * }} TypedTarget
 */

/**
 * The platform's EventTarget under a narrower type.
 *
 * @template {Record<string, any>} Events
 * @returns {{ new (): TypedTarget<Events> }}
 */
export const typed = () => /** @type {any} */ (EventTarget);

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
