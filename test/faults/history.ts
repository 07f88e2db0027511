import { appendFileSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { TestContext } from 'node:test';

/** One line of a history. Times are this process's monotonic milliseconds: nothing else observes. */
export type Happening =
  | {
      readonly t: 'call';
      readonly call: number;
      readonly what: string;
      readonly tenant: string;
      readonly requestId: string;
      readonly body: string;
      readonly via: string;
      readonly deadlineMs: number;
    }
  | { readonly t: 'answer'; readonly call: number; readonly sandbox: string }
  | { readonly t: 'refusal'; readonly call: number; readonly code: string }
  /** A keepalive was acknowledged: it lives until then. */
  | { readonly t: 'kept'; readonly sandbox: string; readonly ttlMs: number }
  /** It was used, or looked at, and was there. */
  | { readonly t: 'alive'; readonly sandbox: string }
  /** It was said to have ended, and by what. */
  | { readonly t: 'gone'; readonly sandbox: string; readonly why: string }
  /** A transition that the store told of. */
  | { readonly t: 'event'; readonly sandbox: string; readonly from: string | null; readonly to: string }
  /** A line of a node's journal. */
  | {
      readonly t: 'bound';
      readonly node: string;
      readonly sandbox: string;
      readonly incarnation: number;
      readonly claim: string;
    }
  | { readonly t: 'fault'; readonly what: string }
  /** Found after the end. */
  | { readonly t: 'left'; readonly what: string };

export type Line = Happening & { readonly atMs: number };

/**
 * What happened in a test of faults, as `history.jsonl` in a folder of its own, for the checker to read afterwards. The
 * folder goes with the test unless it fails: then the file is kept where its place is printed.
 */
export class History implements Disposable {
  readonly seed: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'wp-history-'));
  readonly #file = join(this.#folder, 'history.jsonl');
  readonly #context: TestContext;
  /** Written in pieces: a system call for each line would be what a test of ten thousand claims measures. */
  #unwritten: string[] = [];
  #calls = 0;
  #sound = false;

  constructor(context: TestContext, seed: number) {
    this.#context = context;
    this.seed = seed;
    context.diagnostic(`WARMPOOL_SEED=${seed}`);
  }

  add(happening: Happening): void {
    this.#unwritten.push(`${JSON.stringify({ ...happening, atMs: Math.round(performance.now()) })}\n`);
    if (this.#unwritten.length >= linesAtOnce) this.#write();
  }

  newCall(): number {
    this.#calls += 1;
    return this.#calls;
  }

  /** The bindings in a node's journal, as they are now: compaction drops those of sandboxes that are gone. */
  addJournal(node: string, path: string): void {
    if (!existsSync(path)) return;
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      const text = /^\d+ [0-9a-f]{16} (.*)$/.exec(line)?.[1];
      if (text === undefined) continue;
      const { bind } = JSON.parse(text) as {
        bind?: { id: string; incarnation: number; claim: { claimId: string } };
      };
      if (bind)
        this.add({
          t: 'bound',
          node,
          sandbox: bind.id,
          incarnation: bind.incarnation,
          claim: bind.claim.claimId,
        });
    }
  }

  lines(): readonly Line[] {
    this.#write();
    if (!existsSync(this.#file)) return [];
    const lines = readFileSync(this.#file, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Line);
  }

  /** To be called as the last step of the test: the folder is not needed any more. */
  sound(): void {
    this.#sound = true;
  }

  [Symbol.dispose](): void {
    this.#write();
    if (!this.#sound && existsSync(this.#file)) {
      const kept = join(keptFolder(), `warmpool-history-${this.seed}.jsonl`);
      copyFileSync(this.#file, kept);
      this.#context.diagnostic(`its history is kept in ${kept}`);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #write(): void {
    if (this.#unwritten.length === 0) return;
    appendFileSync(this.#file, this.#unwritten.join(''));
    this.#unwritten = [];
  }
}

/** The runner's own folder for temporary files goes with the run. */
function keptFolder(): string {
  return /^wpt-\d+$/.test(basename(tmpdir())) ? dirname(tmpdir()) : tmpdir();
}

const linesAtOnce = 256;
