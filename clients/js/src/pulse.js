/**
 * Whether the other end lives: asks after a silence, and takes three questions without an answer for its end.
 *
 * Timers are late in a hidden tab (once a minute) and on a machine that slept; what was sent to us meanwhile may lie
 * unread. So the first late tick never counts, and the last word is always a turn of grace.
 */

const MAX_UNANSWERED = 3;
/** Milliseconds; a busy machine is not that late. */
const LATE = 1_000;

/**
 * @param {() => void} probe asks something that is always answered
 * @param {() => void} dead hears once that nothing was answered
 */
export function makePulse(probe, dead) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let interval = 0;
  let again = 0;
  let isRegular = false;
  let isAwaited = false;
  let wasLate = false;
  let unanswered = 0;
  let heardAt = 0;
  let dueAt = 0;

  /** @param {number} wait */
  function arm(wait) {
    clearTimeout(timer);
    dueAt = performance.now() + wait;
    timer = setTimeout(tick, wait);
  }

  function tick() {
    const now = performance.now();
    const isLate = now - dueAt > LATE;
    unanswered = isAwaited && (wasLate || !isLate) ? unanswered + 1 : 0;
    wasLate = isLate;
    const left = heardAt + interval - now;
    if (unanswered >= MAX_UNANSWERED) timer = setTimeout(() => (isAwaited ? dead() : tick()));
    else if (isAwaited || isRegular || left <= 0) ask();
    else arm(left);
  }

  function ask() {
    probe();
    isAwaited = true;
    arm(again);
  }

  /** Something came, whatever it was. */
  function heard() {
    isAwaited = false;
    heardAt = performance.now();
  }

  return {
    heard,
    /**
     * @param {number} silence milliseconds of it until it asks
     * @param {number} pause between questions that are not answered
     * @param {boolean} [regular] asks after each interval, silent or not
     */
    start(silence, pause, regular = false) {
      interval = silence;
      again = pause;
      isRegular = regular;
      wasLate = false;
      unanswered = 0;
      heard();
      arm(silence);
    },
    /** Asks now: something has happened to the network, or to the tab. */
    ask() {
      if (timer !== undefined) ask();
    },
    stop() {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
