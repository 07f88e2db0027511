import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

/** What one test file took: how long, and how much of the processor, so that waiting can be told from working. */
export interface Cost {
  readonly file: string;
  readonly wallMs: number;
  /** User and system time of its process and of all it waited for, which is not quite all it started. */
  readonly cpuMs: number;
}

/** Leaves word of what this process took, at its end, where `takeCosts` finds it. */
export function leaveCost(folder: string, file: string): void {
  const cost: Cost = {
    file,
    wallMs: performance.now(),
    cpuMs: cpuMsOf(readFileSync('/proc/self/stat', 'utf8')),
  };
  writeFileSync(join(folder, `${prefix}${process.pid}`), JSON.stringify(cost));
}

/** All that was left in a folder, which is removed. */
export function takeCosts(folder: string): readonly Cost[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith(prefix))
    .flatMap((name) => {
      const path = join(folder, name);
      const text = readFileSync(path, 'utf8');
      rmSync(path);
      return parseCost(text);
    });
}

/** Nothing of one that was killed while it wrote: no run fails for want of its figures. */
function parseCost(text: string): readonly Cost[] {
  try {
    return [JSON.parse(text)];
  } catch {
    return [];
  }
}

/** utime, stime, cutime and cstime of proc(5), in ticks of the kernel: a hundred a second, whatever its timer does. */
function cpuMsOf(stat: string): number {
  // The name in brackets may hold anything, brackets too.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
}

const prefix = 'cost-';
