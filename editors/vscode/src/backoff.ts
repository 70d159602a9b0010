/** When a server that ended is started again: later each time, and not for ever. */

const DELAYS = [500, 1000, 2000, 4000, 8000];
/** A server that ran this long is well: what was before it is forgotten. */
const WELL_AFTER = 60_000;

export class Backoff {
  private ends = 0;
  private startedAt: number | undefined;

  constructor(private readonly now: () => number = Date.now) {}

  started(): void {
    this.startedAt = this.now();
  }

  /** The server ended: milliseconds until it is to be started again, or undefined where that is of no use. */
  ended(): number | undefined {
    if (this.startedAt !== undefined && this.now() - this.startedAt >= WELL_AFTER) {
      this.ends = 0;
    }
    this.startedAt = undefined;
    return DELAYS[this.ends++];
  }

  /** The user asks for it: begin anew. */
  forget(): void {
    this.ends = 0;
    this.startedAt = undefined;
  }

  get times(): number {
    return this.ends;
  }
}
