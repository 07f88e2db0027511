import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Control files are no ordinary files: they cannot be created or truncated, so the flag is a plain `r+`. */
export async function writeControl(folder: string, file: string, value: number | string): Promise<void> {
  await writeFile(join(folder, file), String(value), { flag: 'r+' });
}

/** False when this kernel or this mount has no such file. */
export async function writeControlIfThere(
  folder: string,
  file: string,
  value: number | string,
): Promise<boolean> {
  try {
    await writeControl(folder, file, value);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Another node's clean-up may take away the parent between its making and ours: then both are made again. */
export async function makeGroup(folder: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await mkdir(folder, { recursive: true });
      return;
    } catch (error) {
      if (!isMissing(error) || attempt === makeAttemptsMax) throw error;
    }
  }
}

export async function processesIn(folder: string): Promise<readonly number[]> {
  try {
    const text = await readFile(join(folder, 'cgroup.procs'), 'utf8');
    return text.split('\n').filter(Boolean).map(Number);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** A group may answer EBUSY for a moment, until the kernel has let go of its last process or of a group in it. */
export async function removeGroup(folder: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await rmdir(folder);
      return;
    } catch (error) {
      if (isMissing(error)) return;
      if (codeOf(error) !== 'EBUSY' || attempt === removeAttemptsMax) throw error;
    }
    await pause(Math.min(attempt, pollMsMax));
  }
}

/** The node's folder and, when it was the last one, the one all nodes share. */
export async function removeEmptyFolders(folder: string): Promise<void> {
  for (const each of [folder, dirname(folder)]) {
    if ((await groupsIn(each)).length > 0) return;
    await removeGroup(each);
  }
}

export async function groupsIn(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Waits until `isDone`, looking often at first; throws the sentence when it takes too long. */
export async function untilDone(isDone: () => Promise<boolean>, sentence: string): Promise<void> {
  const deadline = performance.now() + killMsMax;
  for (let delayMs = 1; !(await isDone()); delayMs = Math.min(delayMs * 2, pollMsMax)) {
    if (performance.now() > deadline) throw new Error(sentence);
    await pause(delayMs);
  }
}

/** ENODEV is what a control file answers while its group is being removed. */
export function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENODEV'].includes(codeOf(error));
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

const makeAttemptsMax = 10;
const removeAttemptsMax = 200;
const pollMsMax = 20;
/** A process in an uninterruptible wait dies only after it; ten seconds is beyond every such wait but a broken disk. */
const killMsMax = 10_000;
