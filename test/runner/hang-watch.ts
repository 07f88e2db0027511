import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Ends test files that hang. Each file's process keeps a note in the run's folder that says which tests are in progress
 * (`in-each-file.ts` writes it whenever one begins or ends), so that a hang can be called by its test's name. What hangs
 * is killed with everything it started: a server that outlives its test file would hold the runner's pipe open.
 *
 * From outside, because a test that spins leaves its own process no turn to run a timer in. Turned down: Node's
 * `timeout`, which in `run()` is that of a whole file, names no test, and waits for those pipes for ever.
 */
export class HangWatch implements Disposable {
  readonly #runFolder: string;
  readonly #limits: HangLimits;
  readonly #tell: (finding: string) => void;
  readonly #seenSinceMs = new Map<number, number>();
  readonly #findings: string[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(runFolder: string, limits: HangLimits, tell: (finding: string) => void) {
    this.#runFolder = runFolder;
    this.#limits = limits;
    this.#tell = tell;
  }

  /** What was ended, and why; a file's process that died by itself in the middle of a test is told of too. */
  get findings(): readonly string[] {
    return this.#findings;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), lookMs).unref();
  }

  [Symbol.dispose](): void {
    if (this.#timer) clearInterval(this.#timer);
  }

  look(): void {
    for (const name of readdirSync(this.#runFolder)) {
      const pid = Number(notePattern.exec(name)?.[1] ?? Number.NaN);
      if (Number.isNaN(pid)) continue;
      const path = join(this.#runFolder, name);
      const note = readNote(path);
      if (note === null) continue;
      const why = this.#whyEnded(pid, note.ageMs);
      // A process that ends properly takes its note with it.
      if (why === null || !existsSync(path)) continue;
      rmSync(path);
      killWithDescendants(pid);
      const finding = `${note.text} (${why})`;
      this.#findings.push(finding);
      this.#tell(finding);
    }
  }

  #whyEnded(pid: number, quietMs: number): string | null {
    if (!existsSync(`/proc/${pid}`)) return 'its process died';
    const seenSinceMs = this.#seenSinceMs.get(pid) ?? performance.now();
    this.#seenSinceMs.set(pid, seenSinceMs);
    if (quietMs > this.#limits.quietMs) {
      return `no test began or ended for ${seconds(this.#limits.quietMs)}`;
    }
    if (performance.now() - seenSinceMs >= this.#limits.fileMs) {
      return `the file took more than ${seconds(this.#limits.fileMs)}`;
    }
    return null;
  }
}

export interface HangLimits {
  /** How long no test of a file may begin or end. */
  readonly quietMs: number;
  readonly fileMs: number;
}

export function noteName(pid: number): string {
  return `in-progress-${pid}`;
}

const lookMs = 1_000;
const notePattern = /^in-progress-(\d+)$/;

/** null: it went away meanwhile. */
function readNote(path: string): { readonly text: string; readonly ageMs: number } | null {
  try {
    return { text: readFileSync(path, 'utf8'), ageMs: Date.now() - statSync(path).mtimeMs };
  } catch {
    return null;
  }
}

function killWithDescendants(pid: number): void {
  const parents = parentsOfAll();
  const doomed = [pid];
  for (const ancestor of doomed) {
    for (const [child, parent] of parents) if (parent === ancestor) doomed.push(child);
  }
  for (const each of doomed) {
    try {
      process.kill(each, 'SIGKILL');
    } catch {
      // It ended by itself meanwhile.
    }
  }
}

function parentsOfAll(): ReadonlyMap<number, number> {
  const parents = new Map<number, number>();
  for (const pid of readdirSync('/proc').map(Number).filter(Number.isInteger)) {
    try {
      // The name in brackets may hold anything, brackets too.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
      if (fields?.[0] !== 'Z') parents.set(pid, Number(fields?.[1]));
    } catch {
      // It ended meanwhile.
    }
  }
  return parents;
}

function seconds(durationMs: number): string {
  return `${durationMs / 1_000} s`;
}
