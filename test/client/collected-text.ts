/** All that was printed so far, for a test to wait for a part of it. */
export class CollectedText {
  text = '';
  readonly ended: Promise<void>;
  #wakes: (() => void)[] = [];

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.ended = this.#read(pieces).catch(() => {});
  }

  async has(text: string): Promise<void> {
    while (!this.text.includes(text)) await new Promise<void>((resolve) => this.#wakes.push(resolve));
  }

  async #read(pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const piece of pieces) {
      this.text += decoder.decode(piece, { stream: true });
      for (const wake of this.#wakes.splice(0)) wake();
    }
  }
}
