// A question that a page repeats until the server answers it.
import { ApiError } from "./api.js";

const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

/** Whether the same question may be answered later: nobody there, nothing yet, too many. A 502 is the plant's own no. */
const passes = ({ status }) => status < 300 || status === 429 || (status >= 500 && status !== 502);

/** One question at a time, refusals repeated ever more seldom and never before the server's Retry-After. */
export class Question {
  /** put(): a promise of the answer; answered(answer); refused(ApiError, ms until it is put again, null for never). */
  constructor({ put, answered, refused = () => {} }) {
    Object.assign(this, { put, answered, refused });
    this.putting = false;
    this.changed = false; // since it was put
    this.over = false; // refused for good
    this.dropped = false; // nobody wants the answer that is on its way
    this.tries = 0;
    this.timer = 0;
    this.earliest = 0; // by performance.now(), as the server told
  }

  /** Put it anew: what was asked before it changed is of no interest any more. */
  ask() {
    this.changed = true;
    this.over = false;
    this.tries = 0;
    if (!this.putting) this.later(Math.max(0, this.earliest - performance.now()));
  }

  /** Ask no more, and take no answer that is on its way. */
  drop() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.changed = false;
    this.dropped = true;
  }

  /** Put it again, unless it is on its way, will be, or was refused for good. */
  repeat() {
    if (!this.putting && this.timer === 0 && !this.over) this.now();
  }

  get wanted() {
    return !this.changed && !this.dropped;
  }

  later(pause) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.now(), pause);
  }

  async now() {
    this.timer = 0;
    this.putting = true;
    this.changed = this.dropped = false;
    try {
      const answer = await this.put();
      if (this.wanted) this.answered(answer);
      this.tries = 0;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.earliest = performance.now() + error.afterMs;
      if (this.wanted) this.refuse(error);
    } finally {
      this.putting = false;
      if (this.changed) this.ask();
    }
  }

  refuse(error) {
    this.over = !passes(error);
    const pause = this.over ? null : Math.max(error.afterMs, Math.min(FIRST_MS * 2 ** this.tries, LONGEST_MS));
    this.tries += 1;
    if (pause !== null) this.later(pause);
    this.refused(error, pause);
  }
}
