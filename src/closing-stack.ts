/**
 * Closes what was started, in reverse order, each exactly once. Node 20 has no AsyncDisposableStack. Everything is
 * closed even when something before it fails to; the first failure is thrown at the end.
 */
export class ClosingStack implements AsyncDisposable {
  readonly #open: AsyncDisposable[] = [];

  use<T extends AsyncDisposable>(started: T): T {
    this.#open.push(started);
    return started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (let next = this.#open.pop(); next; next = this.#open.pop()) {
      try {
        await next[Symbol.asyncDispose]();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
