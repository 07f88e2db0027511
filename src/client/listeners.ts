/** Who wants to know. One that throws does not keep the others from it: its error is reported as any uncaught one. */
export class Listeners<News> {
  readonly #all = new Set<(event: News) => void>();

  /** Returns what takes it away again. */
  add(listener: (event: News) => void): () => void {
    const own = (event: News) => listener(event);
    this.#all.add(own);
    return () => void this.#all.delete(own);
  }

  tell(event: News): void {
    for (const listener of [...this.#all]) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
