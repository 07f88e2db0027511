// Sees to it that the programs warmpool needs beside npm's packages are there: `node scripts/provision.mjs GOAL`, run by
// `npm ci` (goal `install`), `npm start` (`start`) and `npm test` (`test`). On Debian and its kin, as root, it installs
// what is missing with apt-get and says so before; anywhere else, and with WARMPOOL_PROVISION=0, it only says what to
// install. It never fails the step it runs in: who needs the missing program says so better, or can do without.
//
// apt's packages start their daemons when they are installed. We want the programs, not the daemons: a policy-rc.d
// forbids starting during the installation (only where none exists; taken away afterwards), and units that the packages
// enabled are disabled again.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findStaticCompiler } from '../guest/build.mjs';

/**
 * `apart`: installed by a run of apt-get of its own, because not every kin of Debian has the package, and one that is
 * unknown would keep all the others out.
 * @typedef {{ program: string, why: string, packages: string[], units: string[], apart?: true, isThere: () => boolean | Promise<boolean> }} Need
 */

/** @type {Record<string, Need>} */
const needs = {
  compiler: {
    program: 'a C compiler that links statically (musl-gcc, or cc with a static libc)',
    why: 'compiles the guest agent',
    // musl-gcc is a wrapper that needs a gcc, which musl-tools only recommends.
    packages: ['musl-tools', 'gcc', 'libc6-dev'],
    units: [],
    isThere: () => findStaticCompiler() !== undefined,
  },
  bubblewrap: {
    program: 'bwrap',
    why: 'runs sandboxes without a daemon',
    packages: ['bubblewrap'],
    units: [],
    isThere: () => isOnPath('bwrap'),
  },
  redis: {
    program: 'redis-server',
    why: 'the tests of the Redis store start their own',
    packages: ['redis-server'],
    units: ['redis-server.service'],
    isThere: () => isOnPath('redis-server'),
  },
  engine: {
    program: 'dockerd, or an engine that answers at DOCKER_HOST',
    why: 'the tests of the Docker runtime use it',
    packages: ['docker.io'],
    units: ['docker.service', 'docker.socket', 'containerd.service'],
    isThere: async () => isOnPath('dockerd') || (await engineAnswers()),
  },
  gvisor: {
    program: 'runsc',
    why: 'the tests of sandboxes under gVisor give it to their engine',
    packages: ['runsc'],
    units: [],
    apart: true,
    isThere: () => isOnPath('runsc'),
  },
  imageTool: {
    program: 'mmdebstrap',
    why: 'makes the base image of the tests where no registry can be reached',
    packages: ['mmdebstrap'],
    units: [],
    isThere: () => isOnPath('mmdebstrap'),
  },
  mounts: {
    program: 'mount and umount',
    why: 'the tests clean up after their engine with it',
    packages: ['mount'],
    units: [],
    isThere: () => isOnPath('mount') && isOnPath('umount'),
  },
  browser: {
    program: 'chromium',
    why: 'the tests of the client in a browser drive it',
    packages: ['chromium'],
    units: [],
    apart: true,
    isThere: () => isOnPath('chromium'),
  },
};

/** @type {Record<string, (keyof typeof needs)[]>} */
const goals = {
  install: ['compiler'],
  start: ['bubblewrap'],
  test: ['compiler', 'bubblewrap', 'redis', 'engine', 'gvisor', 'imageTool', 'mounts', 'browser'],
};

const policyFile = '/usr/sbin/policy-rc.d';
const policyMark = '# made by warmpool scripts/provision.mjs for the time of one apt-get run';
const turnOff = 'WARMPOOL_PROVISION=0 turns this off';

/**
 * @param {keyof typeof goals} goal
 * @param {(line: string) => void} say
 */
export async function provision(goal, say) {
  const missing = [];
  for (const name of goals[goal]) {
    if (!(await needs[name].isThere())) missing.push(needs[name]);
  }
  if (missing.length === 0) return;
  if (!mayInstall()) {
    say(advice(missing));
    return;
  }
  const together = missing.filter((need) => !need.apart);
  for (const group of [together, ...missing.filter((need) => need.apart).map((need) => [need])]) {
    if (group.length > 0) install(group, say);
  }
}

/**
 * @param {Need[]} missing
 * @param {(line: string) => void} say
 */
function install(missing, say) {
  const packages = missing.flatMap((need) => need.packages);
  const reasons = missing.map((need) => `${need.packages.join(' ')} (${need.why})`).join(', ');
  say(`warmpool: installing with apt-get: ${reasons}; ${turnOff}`);
  const failure = installPackages(packages);
  if (failure !== null) {
    say(`warmpool: apt-get could not install them: ${failure}`);
    say(advice(missing));
    return;
  }
  disableUnits(missing.flatMap((need) => need.units));
}

function mayInstall() {
  if (process.env.WARMPOOL_PROVISION === '0') return false;
  return process.getuid?.() === 0 && isDebianKin() && isOnPath('apt-get');
}

/** @param {Need[]} missing */
function advice(missing) {
  const lines = missing.map((need) => `warmpool: missing: ${need.program}; it ${asVerb(need.why)}`);
  const packages = missing.flatMap((need) => need.packages).join(' ');
  lines.push(
    isDebianKin()
      ? `warmpool: install with: ${process.getuid?.() === 0 ? '' : 'sudo '}apt-get install -y --no-install-recommends ${packages}`
      : `warmpool: install what Debian calls: ${packages}`,
  );
  return lines.join('\n');
}

/** @param {string} why */
function asVerb(why) {
  return why.startsWith('the tests') ? `is for tests: ${why}` : why;
}

/** @param {string[]} packages @returns {string | null} the end of apt-get's output on failure */
function installPackages(packages) {
  const ours = forbidServiceStarts();
  // While a handler is there, an interrupt ends apt-get and not us, so that the policy file is always taken away.
  let interrupted = false;
  const onSignal = () => {
    interrupted = true;
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal);
  try {
    const install = ['install', '-y', '--no-install-recommends', ...packages];
    let result = aptGet(install);
    // A fresh container has no package lists, an old one has lists whose packages are gone.
    if (result.status !== 0) {
      const update = aptGet(['update']);
      if (update.status === 0) result = aptGet(install);
    }
    if (result.status === 0) return null;
    const output = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n');
    return (
      output
        .filter((line) => /^[EW]:/.test(line))
        .slice(-3)
        .join(' ') ||
      (output.at(-1) ?? 'no output')
    );
  } finally {
    if (ours) rmSync(policyFile, { force: true });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, onSignal);
    if (interrupted) process.exitCode = 130;
  }
}

/** @param {string[]} args */
function aptGet(args) {
  return spawnSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=120', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: 15 * 60_000,
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
}

/** Whether the file is ours to remove: one left behind by a run of ours that was killed is. */
function forbidServiceStarts() {
  try {
    // invoke-rc.d reads 101 as "not allowed".
    writeFileSync(policyFile, `#!/bin/sh\n${policyMark}\nexit 101\n`, { flag: 'wx', mode: 0o755 });
    return true;
  } catch {
    return existsSync(policyFile) && readFileSync(policyFile, 'utf8').includes(policyMark);
  }
}

/** @param {string[]} units */
function disableUnits(units) {
  if (units.length > 0 && isOnPath('systemctl')) {
    spawnSync('systemctl', ['--no-reload', '--quiet', 'disable', ...units], {
      stdio: 'ignore',
      timeout: 30_000,
    });
  }
}

function isDebianKin() {
  try {
    const ids = /^ID(?:_LIKE)?=(.*)$/gm;
    const release = readFileSync('/etc/os-release', 'utf8');
    return [...release.matchAll(ids)].some((match) => /\b(debian|ubuntu)\b/.test(match[1] ?? ''));
  } catch {
    return false;
  }
}

/** Daemons lie in sbin, which is not on everybody's PATH. @param {string} program */
function isOnPath(program) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...folders, '/usr/sbin', '/sbin'].some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** @returns {Promise<boolean>} */
function engineAnswers() {
  const host = process.env.DOCKER_HOST || 'unix:///var/run/docker.sock';
  const url = URL.canParse(host) ? new URL(host) : null;
  if (url === null) return Promise.resolve(false);
  // Only over ssh can we not look: whoever set that knows what they have.
  if (url.protocol === 'ssh:') return Promise.resolve(true);
  const target =
    url.protocol === 'unix:'
      ? { path: url.pathname }
      : { host: url.hostname, port: Number(url.port || 2375) };
  return new Promise((resolve) => {
    const socket = connect(target);
    const settle = (/** @type {boolean} */ answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2_000, () => settle(false));
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const goal = process.argv[2] ?? '';
  if (!Object.hasOwn(goals, goal)) {
    console.error(`usage: node scripts/provision.mjs ${Object.keys(goals).join('|')}`);
    process.exit(2);
  }
  await provision(goal, (line) => console.error(line));
}
