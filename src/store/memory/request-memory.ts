import { requestMemoryMs } from '../../domain/limits.ts';

interface Remembered {
  readonly bodyHash: string;
  readonly sandboxId: string;
  readonly expiresAtMs: number;
}

/**
 * Which sandbox a request id was answered with. Every entry lives equally long, so the order of insertion is the
 * order of expiry and forgetting is looking at the front.
 */
export class RequestMemory {
  readonly #entries = new Map<string, Remembered>();

  remember(key: string, bodyHash: string, sandboxId: string, nowMs: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { bodyHash, sandboxId, expiresAtMs: nowMs + requestMemoryMs });
  }

  recall(key: string, nowMs: number): Remembered | null {
    for (const [oldest, { expiresAtMs }] of this.#entries) {
      if (expiresAtMs > nowMs) break;
      this.#entries.delete(oldest);
    }
    return this.#entries.get(key) ?? null;
  }

  /** Only if it still leads to this sandbox. */
  forget(key: string, sandboxId: string): void {
    if (this.#entries.get(key)?.sandboxId === sandboxId) this.#entries.delete(key);
  }
}
