import { readdir, readFile } from 'node:fs/promises';
import { codeOf, untilDone } from '../cgroup/cgroup-files.ts';

/** Living processes that run under the uid; a zombie holds nothing and cannot be killed again. */
export async function processesOfUid(uid: number): Promise<readonly number[]> {
  return livingProcesses((status) => new RegExp(`^Uid:(\\s+\\d+)*\\s+${uid}\\b`, 'm').test(status));
}

/** Living processes that were started under that name (the first word of their command line). */
export async function processesNamed(name: string): Promise<readonly number[]> {
  const pids = await livingProcesses(() => true);
  const names = await Promise.all(pids.map((pid) => readProcFile(pid, 'cmdline')));
  return pids.filter((_pid, index) => names[index]?.split('\0')[0] === name);
}

/** Kills until `find` finds nothing any more. */
export async function killAll(find: () => Promise<readonly number[]>, sentence: string): Promise<void> {
  await untilDone(async () => {
    const pids = await find();
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (codeOf(error) !== 'ESRCH') throw error;
      }
    }
    return pids.length === 0;
  }, sentence);
}

/** The parent's pid, or null when there is no such process. */
export async function parentOf(pid: number): Promise<number | null> {
  const parent = /^PPid:\s+(\d+)$/m.exec(await readProcFile(pid, 'status'))?.[1];
  return parent === undefined ? null : Number(parent);
}

async function livingProcesses(matches: (status: string) => boolean): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger);
  const statuses = await Promise.all(pids.map((pid) => readProcFile(pid, 'status')));
  return pids.filter((_pid, index) => {
    const status = statuses[index] ?? '';
    return status !== '' && !/^State:\s+[ZX]/m.test(status) && matches(status);
  });
}

/** Empty when the process has ended meanwhile. */
async function readProcFile(pid: number, file: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(codeOf(error))) return '';
    throw error;
  }
}
