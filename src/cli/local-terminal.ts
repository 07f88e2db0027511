import { spawnSync } from 'node:child_process';

/**
 * The terminal this process runs on. Owns its mode: raw while keys go elsewhere, and what it was before at the end, also
 * when the end is a signal or an exception (libuv itself restores it on a plain exit).
 *
 * Where stdin or stdout is no terminal, bytes pass as they are, and the size is that of nobody's 80 × 24.
 */
export class LocalTerminal implements Disposable {
  readonly #restore = () => this.#becomeCooked();
  #isRaw = false;

  constructor() {
    process.on('exit', this.#restore);
  }

  /** Whether somebody sits there and types. */
  get isTerminal(): boolean {
    return process.stdin.isTTY === true;
  }

  get size(): { readonly cols: number; readonly rows: number } {
    const { columns, rows } = process.stdout;
    return { cols: bounded(columns ?? 80), rows: bounded(rows ?? 24) };
  }

  becomeRaw(): void {
    if (!this.isTerminal) return;
    process.stdin.setRawMode(true);
    this.#isRaw = true;
    // Node's raw mode goes on putting a carriage return before each newline, which breaks programs that mean "one line
    // down" by a newline. The terminal inside does that work already. What was before comes back with the mode.
    spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
  }

  onResize(listener: (size: { readonly cols: number; readonly rows: number }) => void): Disposable {
    const resized = () => listener(this.size);
    process.stdout.on('resize', resized);
    return { [Symbol.dispose]: () => void process.stdout.off('resize', resized) };
  }

  /** Signals that ask this process to go. ^C and the like are keys, and travel as such. */
  onSignal(listener: (signal: NodeJS.Signals) => void): Disposable {
    const told = (signal: NodeJS.Signals) => listener(signal);
    for (const name of deadly) process.on(name, told);
    return {
      [Symbol.dispose]: () => {
        for (const name of deadly) process.off(name, told);
      },
    };
  }

  onKeys(listener: (typed: Buffer) => void, onEnd: () => void): () => void {
    const { stdin } = process;
    const ended = () => onEnd();
    stdin.on('data', listener).once('end', ended).once('error', ended);
    return () => {
      stdin.off('data', listener).off('end', ended).off('error', ended);
      stdin.on('error', () => {});
      stdin.destroy();
    };
  }

  pauseKeys(): void {
    process.stdin.pause();
  }

  resumeKeys(): void {
    if (!process.stdin.destroyed) process.stdin.resume();
  }

  /** Settles when there is room for more. */
  async show(bytes: Uint8Array): Promise<void> {
    if (process.stdout.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const settle = () => {
        process.stdout.off('drain', settle).off('close', settle).off('error', settle);
        resolve();
      };
      process.stdout.on('drain', settle).on('close', settle).on('error', settle);
    });
  }

  /** A word of our own, on lines of its own. */
  say(sentence: string): void {
    process.stderr.write(this.#isRaw ? `\r\n[warmpool: ${sentence}]\r\n` : `warmpool: ${sentence}\n`);
  }

  /** A program that was left had no chance to put away what it had turned on: other screen, mouse, hidden cursor. */
  resetScreen(): void {
    if (process.stdout.isTTY) process.stdout.write(screenReset);
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#restore);
    this.#becomeCooked();
  }

  #becomeCooked(): void {
    if (!this.#isRaw) return;
    this.#isRaw = false;
    process.stdin.setRawMode(false);
  }
}

const deadly = ['SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** Leave the other screen, show the cursor, no mouse reports, no bracketed paste, plain keys, plain text. */
const screenReset = [
  '\u001b[?1049l',
  '\u001b[?25h',
  '\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1006l',
  '\u001b[?2004l',
  '\u001b[?1l\u001b>',
  '\u001b[0m',
].join('');

/** As the wire takes it. */
function bounded(side: number): number {
  return Math.min(Math.max(side, 1), 10_000);
}
