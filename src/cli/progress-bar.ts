import type { TransferProgress } from '../client/node/node-sandbox-files.ts';
import { formatBytes } from './bytes.ts';
import { printable } from './printable.ts';

/** One line on a terminal that says how far a copy is. Nothing at all where stderr is no terminal. */
export class ProgressBar implements Disposable {
  readonly #isShown = process.stderr.isTTY === true;
  readonly #beganAtMs = performance.now();
  #shownAtMs = Number.NEGATIVE_INFINITY;
  #hasLine = false;

  show(progress: TransferProgress): void {
    const nowMs = performance.now();
    if (!this.#isShown || nowMs - this.#shownAtMs < redrawMs) return;
    this.#shownAtMs = nowMs;
    this.#hasLine = true;
    const columns = process.stderr.columns ?? 80;
    const line = progressLine(progress, (nowMs - this.#beganAtMs) / 1_000, columns);
    process.stderr.write(`\r${line}\u001b[K`);
  }

  /** Takes the line away again. */
  [Symbol.dispose](): void {
    if (this.#hasLine) process.stderr.write('\r\u001b[K');
  }
}

/** ` 42%  [########------------]  1.2 GB  310 MB/s  name`, cut to the width. */
export function progressLine(progress: TransferProgress, seconds: number, columns: number): string {
  const { bytes, bytesTotal, name } = progress;
  const rate = `${formatBytes(seconds > 0 ? bytes / seconds : 0)}/s`;
  const parts = [formatBytes(bytes), rate, printable(name)];
  if (bytesTotal !== undefined && bytesTotal > 0) {
    const share = Math.min(1, bytes / bytesTotal);
    const filled = Math.floor(share * barWidth);
    const bar = `[${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}]`;
    parts.unshift(`${String(Math.floor(share * 100)).padStart(3)}%`, bar);
  }
  // The last column would wrap on some terminals.
  return [...parts.join('  ')].slice(0, Math.max(0, columns - 1)).join('');
}

const barWidth = 20;
/** Ten times a second reads as moving. */
const redrawMs = 100;
