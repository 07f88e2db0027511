import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { pack } from 'tar-stream';
import { packageRoot } from '../../src/package-root.ts';

export const baseImage = 'warmpool/base';
/** One static program that says hello, and nothing else: no shell, no /etc. */
export const tinyImage = 'warmpool/test-tiny';

/**
 * Makes warmpool/base in the engine unless it is there. The root file system is made once and kept in
 * node_modules/.cache/warmpool (half a minute); importing it takes some seconds.
 */
export async function ensureBaseImage(dockerHost: string): Promise<void> {
  await ensureImage(dockerHost, baseImage, async () => {
    const script = join(packageRoot(), 'pools/images/base/build.mjs');
    const argv = [script, '--docker-host', dockerHost, '--way', 'debian', '--cache', cacheFolder()];
    await promisify(execFile)(process.execPath, argv);
  });
}

export async function ensureTinyImage(dockerHost: string): Promise<void> {
  await ensureImage(dockerHost, tinyImage, () => importTinyImage(dockerHost, tinyImage, []));
}

/** The tiny image under another name, with instructions of a Dockerfile applied. */
export async function importTinyImage(
  dockerHost: string,
  image: string,
  changes: readonly string[],
): Promise<void> {
  const archive = pack();
  archive.entry({ name: 'hello', mode: 0o755 }, await compileHello());
  archive.finalize();
  const tarball = Readable.from(await buffer(archive));
  const options = { repo: image, tag: 'latest', changes: [...changes] };
  await buffer(await clientOf(dockerHost).importImage(tarball, options));
}

/** A client for what a test does to an engine behind the runtime's back. */
export function clientOf(dockerHost: string): Docker {
  return new Docker({ host: '', socketPath: dockerHost.slice('unix://'.length) });
}

async function ensureImage(dockerHost: string, image: string, make: () => Promise<void>): Promise<void> {
  if (await hasImage(dockerHost, image)) return;
  await withLock(join(cacheFolder(), `${image.replaceAll('/', '-')}.lock`), async () => {
    if (!(await hasImage(dockerHost, image))) await make();
  });
  if (!(await hasImage(dockerHost, image))) throw new Error(`${image} could not be made`);
}

async function hasImage(dockerHost: string, image: string): Promise<boolean> {
  const found = await clientOf(dockerHost).listImages({ filters: { reference: [`${image}:latest`] } });
  return found.length > 0;
}

export async function compileHello(): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'warmpool-hello-'));
  try {
    const program = join(folder, 'hello');
    const compile = promisify(execFile)('cc', ['-static', '-Os', '-s', '-x', 'c', '-o', program, '-']);
    compile.child.stdin?.end(
      '#include <unistd.h>\nint main(void) { return write(1, "hello\\n", 6) != 6; }\n',
    );
    await compile;
    return await readFile(program);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Test files run in processes of their own at the same time; one of them makes an image, the others wait for it. */
async function withLock(path: string, work: () => Promise<void>): Promise<void> {
  await mkdir(cacheFolder(), { recursive: true });
  for (;;) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(String(process.pid));
      await file.close();
      break;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      const owner = await readFile(path, 'utf8').catch(() => '');
      // Empty: between its creation and the pid being written.
      if (owner !== '' && !existsSync(`/proc/${owner}`)) await rm(path, { force: true });
      await delay(lockPollMs);
    }
  }
  try {
    await work();
  } finally {
    await rm(path, { force: true });
  }
}

function cacheFolder(): string {
  return join(packageRoot(), 'node_modules/.cache/warmpool');
}

const lockPollMs = 100;
