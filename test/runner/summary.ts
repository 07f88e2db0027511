import { relative } from 'node:path';
import type { TestsStream } from 'node:test';
import type { Cost } from './cost.ts';

export interface SkippedTest {
  readonly file: string;
  readonly name: string;
  readonly reason: string;
}

interface Verdict {
  readonly costs: readonly Cost[];
  readonly left: readonly string[];
  readonly refusedSkips: readonly SkippedTest[];
  /** What was ended because it hung, by its file and test. */
  readonly hung: readonly string[];
  readonly interrupted: boolean;
}

const slowFilesShown = 15;

/** Listens to the runner and, at the end, says what its own lines do not. */
export class Summary {
  readonly skips: SkippedTest[] = [];
  /** Node's closing lines (`tests 12`, `pass 12`, …), said again at the very end where people and scripts look. */
  readonly #closing: string[] = [];
  #failures = 0;

  get failed(): boolean {
    return this.#failures > 0;
  }

  listen(events: TestsStream): void {
    events.on('test:pass', (test) => this.#count(test));
    events.on('test:fail', (test) => {
      if (test.todo === undefined) this.#failures++;
      this.#count(test);
    });
    events.on('test:diagnostic', (diagnostic) => {
      const isClosing = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/.test(
        diagnostic.message,
      );
      if (diagnostic.nesting === 0 && isClosing) this.#closing.push(diagnostic.message);
    });
  }

  describe(verdict: Verdict): string {
    const lines = [''];
    const section = (title: string, items: readonly string[]) => {
      if (items.length > 0) lines.push(title, ...items.map((item) => `  ${item}`), '');
    };
    section(`Skipped (${this.skips.length}):`, this.skips.map(describeSkip));
    section('Slowest files, and what they had of the processor:', slowest(verdict.costs));
    section('HUNG, and was ended with what it had started:', verdict.hung);
    section('LEFT BEHIND by the tests:', verdict.left);
    section('SKIPPED, though WARMPOOL_REQUIRE lists it:', verdict.refusedSkips.map(describeSkip));
    if (verdict.interrupted) lines.push('Interrupted.', '');
    lines.push(...this.#closing.map((line) => `ℹ ${line}`), '');
    return lines.join('\n');
  }

  #count(test: {
    readonly name: string;
    readonly nesting: number;
    readonly file?: string;
    readonly skip?: string | boolean;
  }): void {
    const file = relative(process.cwd(), test.file ?? '');
    const unasked = typeof test.skip === 'string' && /^test name does not match/.test(test.skip);
    if (test.skip !== undefined && test.skip !== false && !unasked) {
      this.skips.push({ file, name: test.name, reason: test.skip === true ? '' : test.skip });
    }
  }
}

function slowest(costs: readonly Cost[]): string[] {
  const all = { file: 'all files', wallMs: sum(costs, 'wallMs'), cpuMs: sum(costs, 'cpuMs') };
  const shown = costs.toSorted((one, other) => other.wallMs - one.wallMs).slice(0, slowFilesShown);
  return [...shown, all].map(
    ({ file, wallMs, cpuMs }) => `${seconds(wallMs)}  ${seconds(cpuMs)} CPU  ${file}`,
  );
}

function sum(costs: readonly Cost[], what: 'wallMs' | 'cpuMs'): number {
  return costs.reduce((total, cost) => total + cost[what], 0);
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1_000).toFixed(1).padStart(6)} s`;
}

function describeSkip(skip: SkippedTest): string {
  return `${skip.file}: ${skip.name}${skip.reason === '' ? '' : ` (${skip.reason})`}`;
}
