import { within } from '../support/within.ts';

/** All that was printed so far, for a test to wait for a part of it. */
export class CollectedText {
  text = '';
  readonly ended: Promise<void>;
  #hasEnded = false;
  readonly #wakes: (() => void)[] = [];

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.ended = this.#read(pieces)
      .catch(() => {})
      .finally(() => {
        this.#hasEnded = true;
        this.#wake();
      });
  }

  async has(text: string): Promise<void> {
    const seen = () =>
      `${JSON.stringify(text)} in ${this.text.length} characters, ending with ${JSON.stringify(this.text.slice(-300))}`;
    while (!this.text.includes(text)) {
      if (this.#hasEnded) throw new Error(`the output ended without ${seen()}`);
      await within(new Promise<void>((resolve) => this.#wakes.push(resolve)), seen);
    }
  }

  async #read(pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const piece of pieces) {
      this.text += decoder.decode(piece, { stream: true });
      this.#wake();
    }
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }
}
