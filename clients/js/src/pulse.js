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
  let silence = 0;
  let isAwaited = false;
  let wasLate = false;
  let unanswered = 0;
  let heardAt = 0;
  let dueAt = 0;

  function arm() {
    clearTimeout(timer);
    dueAt = performance.now() + interval;
    timer = setTimeout(tick, interval);
  }

  function tick() {
    const now = performance.now();
    const isLate = now - dueAt > LATE;
    unanswered = isAwaited && (wasLate || !isLate) ? unanswered + 1 : 0;
    wasLate = isLate;
    if (unanswered >= MAX_UNANSWERED) timer = setTimeout(() => (isAwaited ? dead() : tick()));
    else if (isAwaited || now - heardAt >= silence) ask();
    else arm();
  }

  function ask() {
    probe();
    isAwaited = true;
    arm();
  }

  /** Something came, whatever it was. */
  function heard() {
    isAwaited = false;
    heardAt = performance.now();
  }

  return {
    heard,
    /**
     * @param {number} pause milliseconds between questions
     * @param {number} [quiet] milliseconds of silence without which it does not ask
     */
    start(pause, quiet = 0) {
      interval = pause;
      silence = quiet;
      wasLate = false;
      unanswered = 0;
      heard();
      arm();
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
