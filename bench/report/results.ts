import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { packageRoot } from '../../src/package-root.ts';
import type { Outcome } from '../outcome.ts';
import type { Machine } from './machine.ts';

export interface Result {
  /** UTC, when the run ended. */
  readonly at: string;
  readonly command: string;
  readonly machine: Machine;
  readonly outcomes: readonly Outcome[];
}

const benchFolder = join(packageRoot(), 'bench');
const tableBegin = '<!-- table: written by npm run bench -- --write-readme -->';
const tableEnd = '<!-- end of table -->';

/** Stores the result and returns its path from the package root. */
export async function storeResult(result: Result): Promise<string> {
  const time = result.at.slice(0, 19).replaceAll(':', '-').toLowerCase();
  const folder = join(benchFolder, 'results');
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${time}z-${result.machine.commit}.json`);
  await writeFile(path, `${JSON.stringify(result, null, 1)}\n`);
  return relative(packageRoot(), path);
}

/** Replaces what stands between the markers of bench/README.md. */
export async function writeReadmeTable(text: string): Promise<void> {
  const path = join(benchFolder, 'README.md');
  const readme = await readFile(path, 'utf8');
  const [begin, end] = [readme.indexOf(tableBegin), readme.indexOf(tableEnd)];
  if (begin < 0 || end < begin) throw new Error('bench/README.md has lost the markers around its table');
  await writeFile(path, `${readme.slice(0, begin)}${tableBegin}\n${text}\n${readme.slice(end)}`);
}
