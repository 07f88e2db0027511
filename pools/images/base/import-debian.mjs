import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { say } from './report.mjs';

/** Makes a root file system from Debian packages, or takes the one in the cache, and imports it as an image. */
export async function importDebian(docker, { tag, cacheFolder }) {
  const folder = cacheFolder ?? (await mkdtemp(join(tmpdir(), 'warmpool-image-')));
  try {
    await mkdir(folder, { recursive: true });
    const tarball = join(folder, `base-${await recipeHash()}.tar`);
    if (existsSync(tarball)) say(`using ${tarball}`);
    else await makeRootfs(tarball);
    say(`importing ${((await stat(tarball)).size / 1e6).toFixed(0)} MB`);
    await importTarball(docker, tarball, tag);
  } finally {
    if (cacheFolder === null) await rm(folder, { recursive: true, force: true });
  }
}

async function importTarball(docker, tarball, tag) {
  const [repo, version = 'latest'] = tag.split(':');
  const changes = [
    'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'ENV LANG=C.UTF-8',
    'CMD ["/bin/bash"]',
  ];
  const output = await docker.importImage(tarball, { repo, tag: version, changes });
  await new Promise((resolve, reject) => {
    docker.modem.followProgress(output, (error, events) => {
      const failed = error ?? events.find((event) => event.error);
      if (failed) reject(new Error(failed.message ?? failed.error));
      else resolve();
    });
  });
}

/** Writes beside the target and renames, so that a cache never holds half a file system. */
async function makeRootfs(tarball) {
  if (process.getuid() !== 0)
    throw new Error('making a root file system from packages needs root (or a registry: --way engine)');
  const packages = (await readFile(recipe('packages.txt'), 'utf8')).trim().split('\n');
  const unfinished = `${tarball}.${process.pid}.unfinished`;
  const startedMs = performance.now();
  try {
    await run('mmdebstrap', [
      '--mode=root',
      '--variant=essential',
      '--format=tar',
      `--include=${packages.join(',')}`,
      ...excludedFolders.map((folder) => `--dpkgopt=path-exclude=${folder}/*`),
      // dpkg's own exclusions are written to a file that would stay in the image.
      '--customize-hook=rm -f "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"',
      `--customize-hook=sh '${recipe('configure-rootfs.sh')}' "$1"`,
      'bookworm',
      unfinished,
    ]);
    await rename(unfinished, tarball);
  } finally {
    await rm(unfinished, { force: true });
  }
  say(`root file system made in ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
}

/** Runs a program, its progress lines passed on. */
async function run(program, argv) {
  const child = spawn(program, argv, {
    stdio: ['ignore', 'inherit', 'pipe'],
    // Times in the archive do not depend on when it is made.
    env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000', LC_ALL: 'C.UTF-8' },
  });
  const lastLines = [];
  child.stderr.setEncoding('utf8').on('data', (text) => {
    for (const line of text.split(/[\r\n]+/).filter((part) => part.trim() !== '')) {
      lastLines.push(line);
      if (lastLines.length > 10) lastLines.shift();
      if (/^I: (extract|install|creat|download)/.test(line)) say(line.slice(3));
    }
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', (error) => {
      if (error.code !== 'ENOENT') reject(error);
      else
        reject(
          new Error(
            `${program} is not installed: apt-get install ${program} (or reach a registry: --way engine)`,
          ),
        );
    });
    child.once('close', resolve);
  });
  if (code !== 0)
    throw new Error(`${program} exited with ${code}; it needs a Debian mirror:\n${lastLines.join('\n')}`);
}

/** Changes when what the image is made of changes. */
async function recipeHash() {
  const hash = createHash('sha256');
  for (const name of ['packages.txt', 'configure-rootfs.sh', 'import-debian.mjs'])
    hash.update(await readFile(recipe(name)));
  return hash.digest('hex').slice(0, 12);
}

function recipe(name) {
  return fileURLToPath(new URL(name, import.meta.url));
}

const excludedFolders = ['/usr/share/doc', '/usr/share/man', '/usr/share/info', '/usr/share/locale'];
