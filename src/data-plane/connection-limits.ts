/** Counts sockets, from before their upgrade until their end, for the bounds of section 9. */
export class ConnectionLimits {
  readonly #max: { readonly ofNode: number; readonly ofSandbox: number };
  readonly #bySandbox = new Map<string, number>();
  #count = 0;

  constructor(max: { ofNode?: number; ofSandbox?: number } = {}) {
    this.#max = {
      ofNode: max.ofNode ?? connectionsOfNodeMax,
      ofSandbox: max.ofSandbox ?? connectionsOfSandboxMax,
    };
  }

  get count(): number {
    return this.#count;
  }

  /** Which bound is reached, or a place, given back by calling `leave` once. */
  enter(sandboxId: string): { readonly full: 'node' | 'sandbox' } | { readonly leave: () => void } {
    if (this.#count >= this.#max.ofNode) return { full: 'node' };
    const ofSandbox = this.#bySandbox.get(sandboxId) ?? 0;
    if (ofSandbox >= this.#max.ofSandbox) return { full: 'sandbox' };
    this.#count += 1;
    this.#bySandbox.set(sandboxId, ofSandbox + 1);
    let left = false;
    return {
      leave: () => {
        if (left) return;
        left = true;
        this.#leave(sandboxId);
      },
    };
  }

  #leave(sandboxId: string): void {
    this.#count -= 1;
    const ofSandbox = (this.#bySandbox.get(sandboxId) ?? 1) - 1;
    if (ofSandbox > 0) this.#bySandbox.set(sandboxId, ofSandbox);
    else this.#bySandbox.delete(sandboxId);
  }
}

/** Descriptors: each socket takes one, and the host has other uses for them. */
export const connectionsOfNodeMax = 16_384;
/** A fleet of agents and its dashboards; bounded state for one sandbox. */
export const connectionsOfSandboxMax = 64;
