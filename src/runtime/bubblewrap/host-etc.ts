import { chmod, copyFile, lstat, mkdir, readdir, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Account, groupFile, passwdFile } from './accounts.ts';

/**
 * Builds the /etc of a sandbox over the host's root: copies of what the host's list allows, and a few files of our
 * own. An allow-list, because what lies in a host's /etc is only known to its administrator: keys, tokens of package
 * managers and configurations of services stay out without having been thought of.
 *
 * Even of what is allowed only files that everybody may read are taken. Links are copied as links: what one points to
 * outside of the allowed parts does not exist inside.
 */
export async function buildHostEtc(folder: string, account: Account, hostEtc = '/etc'): Promise<void> {
  await makeOpenFolder(folder);
  const whole = (await namesIn(hostEtc)).filter((name) => allowedWhole.some((pattern) => pattern.test(name)));
  await Promise.all(whole.map((name) => copyTree(join(hostEtc, name), join(folder, name), 0)));
  for (const path of allowedParts) {
    const from = join(hostEtc, path);
    if ((await lstat(from).catch(() => null)) === null) continue;
    for (const parent of parentsOf(path)) await makeOpenFolder(join(folder, parent));
    await copyTree(from, join(folder, path), 0);
  }
  for (const [name, content] of Object.entries(ownFiles(account))) {
    await writeOpenFile(join(folder, name), content);
  }
  await symlink('/proc/self/mounts', join(folder, 'mtab'));
}

/** For everybody to read, whatever this process's umask says. */
export async function writeOpenFile(path: string, content: string): Promise<void> {
  await writeFile(path, content);
  await chmod(path, 0o644);
}

/** For everybody to pass, whatever this process's umask says. */
export async function makeOpenFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  await chmod(path, 0o755);
}

/** Files and folders of the host's /etc that hold no secret by their purpose, on Debian, Fedora, Arch and Alpine. */
const allowedWhole: readonly RegExp[] = [
  // The dynamic linker, and the choice among installed programs.
  /^ld\.so\.(cache|conf|conf\.d|preload)$/,
  /^ld-musl-[a-z0-9_]+\.(path|d)$/,
  /^alternatives$/,
  // What the system is, its time and its language.
  /^(os-release|debian_version|lsb-release|alpine-release|arch-release|fedora-release|redhat-release|system-release)$/,
  /^(localtime|timezone|locale\.alias|locale\.conf|default-locale)$/,
  // Names of well-known numbers.
  /^(protocols|services|rpc|ethertypes|networks|mime\.types|magic|magic\.mime)$/,
  // Shells and terminals.
  /^(profile|bash\.bashrc|bashrc|inputrc|shells|skel|terminfo|login\.defs|DIR_COLORS)$/,
  // Certificates that everybody is shown.
  /^ca-certificates(\.conf)?$/,
  // How lookups and interpreters are set up by the distribution.
  /^(gai\.conf|host\.conf|fonts|perl)$/,
  /^python3(\.\d+)?$/,
  /^java(-\d+)?(-openjdk)?$/,
];

/** Parts of folders that hold keys beside them. */
const allowedParts: readonly string[] = [
  'ssl/certs',
  'ssl/openssl.cnf',
  'ssl/cert.pem',
  'pki/tls/certs',
  'pki/tls/cert.pem',
  'pki/ca-trust/extracted',
  'crypto-policies/back-ends',
];

function ownFiles(account: Account): Readonly<Record<string, string>> {
  return {
    passwd: passwdFile(account),
    group: groupFile(account),
    hostname: 'sandbox\n',
    hosts: '127.0.0.1\tlocalhost sandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n',
    // There is no network but loopback, so there is no resolver to ask.
    'resolv.conf': '',
    // The host's may name a directory service that cannot be reached from inside.
    'nsswitch.conf':
      'passwd: files\ngroup: files\nshadow: files\nhosts: files myhostname dns\nnetworks: files\n' +
      'protocols: files\nservices: files\nethers: files\nrpc: files\n',
  };
}

async function copyTree(from: string, to: string, depth: number): Promise<void> {
  const info = await lstat(from).catch(() => null);
  if (info === null) return;
  if (info.isSymbolicLink()) {
    await symlink(await readlink(from), to);
  } else if (info.isDirectory() && (info.mode & 0o005) === 0o005 && depth < depthMax) {
    await makeOpenFolder(to);
    const names = await namesIn(from);
    await Promise.all(names.map((name) => copyTree(join(from, name), join(to, name), depth + 1)));
  } else if (info.isFile() && (info.mode & 0o004) !== 0 && info.size <= fileBytesMax) {
    await copyFile(from, to);
    await chmod(to, (info.mode & 0o111) === 0 ? 0o644 : 0o755);
  }
}

/** `a/b/c` has the parents `a` and `a/b`. */
function parentsOf(path: string): readonly string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}

/** Certificates lie three deep; anything beyond this is no configuration of a distribution. */
const depthMax = 6;
/** The largest allowed files are certificate bundles and terminal descriptions, well below. */
const fileBytesMax = 8 * 1_048_576;
