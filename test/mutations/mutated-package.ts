import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompiledTree } from '../runner/compiled-tree.ts';
import type { Mutant } from './mutants.ts';

/**
 * A copy of the package to take guards out of, one at a time: its sources and tests copied, compiled and, for tests that
 * run a program from source, left beside that; all else linked. It lies among the caches of the package, where its
 * dependencies are found, and goes with it.
 */
export class MutatedPackage implements Disposable {
  readonly #root: string;
  readonly #tree: CompiledTree;
  readonly #removeAtExit = () => rmSync(this.#root, { recursive: true, force: true });

  private constructor(root: string, tree: CompiledTree) {
    this.#root = root;
    this.#tree = tree;
    process.on('exit', this.#removeAtExit);
  }

  static async copy(packageRoot: string): Promise<MutatedPackage> {
    const caches = join(packageRoot, 'node_modules', '.cache');
    mkdirSync(caches, { recursive: true });
    const root = mkdtempSync(join(caches, 'wp-mutants-'));
    try {
      for (const name of readdirSync(packageRoot)) {
        if (name === 'node_modules' || name === 'dist' || name.startsWith('.')) continue;
        const [from, to] = [join(packageRoot, name), join(root, name)];
        if (copied.has(name)) cpSync(from, to, { recursive: true });
        else symlinkSync(from, to);
      }
      return new MutatedPackage(root, await CompiledTree.make(root));
    } catch (error) {
      rmSync(root, { recursive: true, force: true });
      throw error;
    }
  }

  /** What the tests say with this guard taken out; null: as it is. Everything is put back afterwards. */
  async tryOut(run: Pick<Mutant, 'tests' | 'names'>, mutant: Mutant | null): Promise<Verdict> {
    const file = mutant === null ? null : join(this.#root, mutant.file);
    const original = file === null ? '' : readFileSync(file, 'utf8');
    if (file !== null && mutant !== null) {
      writeFileSync(file, mutate(mutant, original));
      if (file.endsWith('.ts')) await this.#tree.compileAgain(file);
    }
    try {
      return await this.#runTests(run);
    } finally {
      if (file !== null) {
        writeFileSync(file, original);
        if (file.endsWith('.ts')) await this.#tree.compileAgain(file);
      }
    }
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#removeAtExit);
    this.#removeAtExit();
  }

  async #runTests({ tests, names }: Pick<Mutant, 'tests' | 'names'>): Promise<Verdict> {
    const source = join(this.#root, tests);
    if (!existsSync(source)) throw new Error(`there is no ${tests}`);
    // What a test leaves when it fails goes with the folder.
    const folder = mkdtempSync(join(tmpdir(), 'wp-mutant-'));
    const { NODE_TEST_CONTEXT: _, WARMPOOL_REQUIRE: __, ...env } = process.env;
    const child = spawn(
      process.execPath,
      [
        '--enable-source-maps',
        '--test-reporter=tap',
        `--test-name-pattern=${names}`,
        this.#tree.pathOf(source),
      ],
      { cwd: this.#root, env: { ...env, TMPDIR: folder }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const said: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => said.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => said.push(chunk));
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    await once(child, 'close');
    clearTimeout(timer);
    rmSync(folder, { recursive: true, force: true });
    return readVerdict(Buffer.concat(said).toString(), new RegExp(names), child.signalCode !== null);
  }
}

/** Throws when the text is not there exactly once: a guard that was moved has to be found again by somebody. */
export function mutate(mutant: Mutant, original: string): string {
  const parts = original.split(mutant.text);
  if (parts.length !== 2) {
    throw new Error(
      `${mutant.id}: ${mutant.file} has ${parts.length - 1} times what the mutant replaces: ${JSON.stringify(mutant.text)}`,
    );
  }
  return parts.join(mutant.replacement);
}

export interface Verdict {
  /** Names of the tests that ran and failed, and of those that passed. */
  readonly failed: readonly string[];
  readonly passed: readonly string[];
  /** This machine lacks what they need. */
  readonly skipped: readonly string[];
  /** It had to be ended: with the guard gone, something waits for ever. */
  readonly hung: boolean;
  readonly output: string;
}

function readVerdict(output: string, names: RegExp, hung: boolean): Verdict {
  const results = [...output.matchAll(/^ *(not ok|ok) \d+ - (.*?)(?: # SKIP ?(.*))?$/gm)]
    .map(([, outcome, name = '', skip]) => ({
      outcome: skip === undefined ? outcome : 'skipped',
      name,
      skip,
    }))
    .filter(({ name, skip }) => names.test(name) && skip !== 'test name does not match pattern');
  const of = (wanted: string) => results.filter(({ outcome }) => outcome === wanted).map(({ name }) => name);
  return { failed: of('not ok'), passed: of('ok'), skipped: of('skipped'), hung, output };
}

const copied: ReadonlySet<string> = new Set(['src', 'protocol', 'test']);
/** The tests that are run take some seconds on a busy machine when nothing is wrong. */
const patienceMs = 60_000;
