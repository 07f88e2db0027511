/**
 * Lets work on different paths run at the same time and work on one path run in order. A path is touched by work on any
 * folder above it too: a removed folder takes its files along.
 */
export class PathTurns {
  readonly #underway = new Set<{ readonly path: string; readonly done: Promise<unknown> }>();

  /** Runs `work` after all earlier work that touches the path; settles as it does. */
  take<T>(path: string, work: () => Promise<T>): Promise<T> {
    const before = [...this.#underway].filter((turn) => touch(turn.path, path)).map((turn) => turn.done);
    const result = before.length === 0 ? work() : Promise.all(before).then(work);
    const turn = { path, done: result.catch(() => {}) };
    this.#underway.add(turn);
    void turn.done.finally(() => this.#underway.delete(turn));
    return result;
  }
}

function touch(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}
