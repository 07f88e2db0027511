import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** null: all that have gates. */
  readonly only: ReadonlySet<string> | null;
  readonly samples: number;
  readonly stores: ReadonlySet<'memory' | 'redis'>;
  readonly runtimes: ReadonlySet<'bubblewrap' | 'docker'>;
  readonly writeReadme: boolean;
  readonly json: boolean;
  /** Where the servers under test leave their CPU profiles; null: they are not profiled. */
  readonly cpuProfFolder: string | null;
}

/** As the gates ask for. */
const samplesDefault = 1_000;
const stores = ['memory', 'redis'] as const;
const runtimes = ['bubblewrap', 'docker'] as const;

export const usage = `usage: npm run bench -- [options]
  --only S1,S3        these subjects only (S1 … S12, micro); micro runs only when named
  --samples N         of each subject, default ${samplesDefault}; figures from fewer are not for publication
  --stores LIST       of ${stores.join(',')}
  --runtimes LIST     of ${runtimes.join(',')}
  --write-readme      put the table into bench/README.md
  --json              print the result as JSON instead of the table
  --cpu-prof FOLDER   profile the servers under test; the figures are then worth nothing`;

export class UsageError extends Error {}

/** Throws UsageError with a sentence for people. */
export function parseOptions(argv: readonly string[], subjects: readonly string[]): BenchOptions {
  const { values } = readFlags(argv);
  const samples = Number(values.samples);
  if (!(Number.isInteger(samples) && samples >= 10 && samples <= 100_000)) {
    throw new UsageError('--samples must be a number from 10 to 100000');
  }
  return {
    only: values.only === undefined ? null : listOf('--only', values.only, subjects),
    samples,
    stores: listOf('--stores', values.stores, stores),
    runtimes: listOf('--runtimes', values.runtimes, runtimes),
    writeReadme: values['write-readme'],
    json: values.json,
    cpuProfFolder: values['cpu-prof'] ?? null,
  };
}

function readFlags(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: { type: 'string' },
        samples: { type: 'string', default: String(samplesDefault) },
        stores: { type: 'string', default: stores.join(',') },
        runtimes: { type: 'string', default: runtimes.join(',') },
        'write-readme': { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        'cpu-prof': { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function listOf<Choice extends string>(
  option: string,
  text: string,
  choices: readonly Choice[],
): ReadonlySet<Choice> {
  const chosen = text.split(',').map((part) => {
    const choice = choices.find((each) => each.toLowerCase() === part.trim().toLowerCase());
    if (choice === undefined)
      throw new UsageError(`${option}: "${part.trim()}" is none of ${choices.join(', ')}`);
    return choice;
  });
  return new Set(chosen);
}
