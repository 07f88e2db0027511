import { constants } from 'node:fs';
import { lstat, open, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { WarmpoolError } from '../../domain/errors.ts';
import { type Account, withAccount } from './accounts.ts';
import { writeOpenFile } from './host-etc.ts';

/** One step in making the root of a sandbox: the words bubblewrap knows for it. */
export type RootStep =
  | { readonly kind: 'bind'; readonly source: string; readonly at: string }
  | { readonly kind: 'link'; readonly target: string; readonly at: string }
  | { readonly kind: 'folder'; readonly at: string; readonly mode: number }
  /** An empty, read-only place over what must not be seen. */
  | { readonly kind: 'cover'; readonly at: string };

export interface RootPlan {
  /** `host` or the real path of a directory. */
  readonly template: { readonly rootfs: string; readonly cwd: string };
  readonly account: Account;
  /** Where files made for this root go; sandboxes can reach it. */
  readonly folder: string;
  /** The /etc of sandboxes over the host's root; asked for only by those. */
  readonly hostEtc: () => Promise<string>;
  /** Host directories of ours that no sandbox may see, wherever they lie. */
  readonly hidden: readonly string[];
}

/**
 * Plans the root of a sandbox: one tmpfs of bounded size that takes all that is written, with the read-only parts of
 * the host or of a directory bound into it. All of it is mounted inside the sandbox's own mount namespace and ends with
 * it, so that nothing is ever mounted on the host and no death of this process leaves a mount behind.
 *
 * Turned down: an overlay mounted by the node. It costs two processes per boot and an unmount, leaves mounts behind a
 * `kill -9`, and gives nothing: only one uid is mapped, so the files of the lower layer, which belong to others, could
 * not be changed through it anyway.
 */
export async function planRoot(plan: RootPlan): Promise<readonly RootStep[]> {
  const shared = plan.template.rootfs === 'host' ? await hostParts(plan) : await directoryParts(plan);
  return [...shared, ...ownFolders(plan, shared)];
}

/** /usr as it is, the links beside it, an /etc of our own: an allow-list, everything else is simply absent. */
async function hostParts(plan: RootPlan): Promise<readonly RootStep[]> {
  const steps: RootStep[] = [{ kind: 'bind', source: '/usr', at: '/usr' }];
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) {
    const info = await lstat(`/${name}`).catch(() => null);
    if (info?.isSymbolicLink())
      steps.push({ kind: 'link', target: await readlink(`/${name}`), at: `/${name}` });
    else if (info?.isDirectory()) steps.push({ kind: 'bind', source: `/${name}`, at: `/${name}` });
  }
  steps.push({ kind: 'bind', source: await plan.hostEtc(), at: '/etc' });
  return [...steps, ...covers(plan.hidden, '/', ['/usr'])];
}

/**
 * A directory's own entries, bound one by one so that the places every sandbox has of its own stay free. Links are made
 * again as links and never followed: they mean something inside only.
 */
async function directoryParts(plan: RootPlan): Promise<readonly RootStep[]> {
  const root = await checkedDirectory(plan.template.rootfs);
  const steps: RootStep[] = [];
  for (const name of await readdir(root)) {
    if (name === 'var') steps.push(...(await entriesOf(join(root, name), '/var', ['tmp', 'run', 'lock'])));
    else if (!ownAtTop.has(name)) steps.push(...(await entry(join(root, name), `/${name}`)));
  }
  steps.push(...(await etcParts(root, plan)));
  return [...steps, ...covers(plan.hidden, root, [...new Set(steps.flatMap(boundAt))])];
}

async function entriesOf(folder: string, at: string, except: readonly string[]): Promise<RootStep[]> {
  const info = await lstat(folder);
  if (!info.isDirectory()) return entry(folder, at);
  const names = (await readdir(folder)).filter((name) => !except.includes(name));
  return (await Promise.all(names.map((name) => entry(join(folder, name), join(at, name))))).flat();
}

async function entry(source: string, at: string): Promise<RootStep[]> {
  const info = await lstat(source);
  if (info.isSymbolicLink()) return [{ kind: 'link', target: await readlink(source), at }];
  if (info.isDirectory() || info.isFile()) return [{ kind: 'bind', source, at }];
  // Sockets, pipes and devices of a directory are doors to whoever holds the other end.
  return [];
}

/**
 * The directory's /etc with account files that know our one user. A file is bound over a file; where the directory has
 * none, nothing can be added to a folder that is bound whole, so its entries are bound one by one.
 */
async function etcParts(root: string, plan: RootPlan): Promise<RootStep[]> {
  const etc = join(root, 'etc');
  const info = await lstat(etc).catch(() => null);
  if (info !== null && !info.isDirectory()) return entry(etc, '/etc');
  const files = withAccount(
    { passwd: await readPlainFile(join(etc, 'passwd')), group: await readPlainFile(join(etc, 'group')) },
    plan.account,
  );
  const ours: RootStep[] = [];
  for (const [name, content] of Object.entries(files)) {
    const source = join(plan.folder, name);
    await writeOpenFile(source, content);
    ours.push({ kind: 'bind', source, at: `/etc/${name}` });
  }
  if (info === null) return [{ kind: 'folder', at: '/etc', mode: 0o755 }, ...ours];
  const replaced = await Promise.all(['passwd', 'group'].map((name) => isPlainFile(join(etc, name))));
  if (replaced.every(Boolean)) return [...(await entry(etc, '/etc')), ...ours];
  return [...(await entriesOf(etc, '/etc', ['passwd', 'group'])), ...ours];
}

/** The folders every sandbox has for itself, on the one tmpfs that bounds them together. */
function ownFolders(plan: RootPlan, shared: readonly RootStep[]): RootStep[] {
  const folders: RootStep[] = [
    { kind: 'folder', at: '/home', mode: 0o755 },
    { kind: 'folder', at: plan.account.home, mode: 0o755 },
    { kind: 'folder', at: '/tmp', mode: 0o1777 },
    { kind: 'folder', at: '/run', mode: 0o755 },
    { kind: 'folder', at: '/run/lock', mode: 0o1777 },
  ];
  const varIsBound = shared.some((step) => step.at === '/var');
  if (!varIsBound) {
    folders.push({ kind: 'folder', at: '/var', mode: 0o755 });
    folders.push({ kind: 'folder', at: '/var/tmp', mode: 0o1777 });
    if (plan.template.rootfs === 'host') {
      for (const name of ['cache', 'lib', 'log'])
        folders.push({ kind: 'folder', at: `/var/${name}`, mode: 0o755 });
    }
    folders.push({ kind: 'link', target: '/run', at: '/var/run' });
    folders.push({ kind: 'link', target: '/run/lock', at: '/var/lock' });
  }
  const { cwd } = plan.template;
  if (!shared.some((step) => isWithin(cwd, step.at)) && !kernelPlaces.some((at) => isWithin(cwd, at)))
    folders.push({ kind: 'folder', at: cwd, mode: 0o755 });
  return folders;
}

/** A cover for each hidden directory that would be seen through one of the bound places. */
function covers(hidden: readonly string[], root: string, bound: readonly string[]): RootStep[] {
  const outermost = hidden.filter((path) => !hidden.some((other) => other !== path && isWithin(path, other)));
  return [...new Set(outermost)].flatMap((path) => {
    if (!isWithin(path, root)) return [];
    const at = join('/', relative(root, path));
    return bound.some((place) => isWithin(at, place)) ? [{ kind: 'cover' as const, at }] : [];
  });
}

async function checkedDirectory(rootfs: string): Promise<string> {
  if (!isAbsolute(rootfs)) throw missing(rootfs, 'must be `host` or an absolute directory');
  const real = await realpath(rootfs).catch(() => null);
  if (real === null || !(await stat(real)).isDirectory()) throw missing(rootfs, 'is not a directory here');
  if (real === '/')
    throw missing(rootfs, "is the host's whole root; `host` is the part of it that may be seen");
  const closed = await closedAncestor(real);
  if (closed !== null)
    throw missing(rootfs, `cannot be reached by sandboxes: ${closed} is closed to others (chmod o+x)`);
  return real;
}

/** The first directory on the way that an unrelated uid may not pass through. */
export async function closedAncestor(path: string): Promise<string | null> {
  let at = '/';
  for (const part of ['', ...path.split('/').filter(Boolean)]) {
    at = join(at, part);
    const info = await stat(at);
    if (info.isDirectory() && (info.mode & 0o001) === 0) return at;
  }
  return null;
}

export function isWithin(path: string, folder: string): boolean {
  const between = relative(folder, path);
  return between === '' || (!between.startsWith('..') && !isAbsolute(between));
}

function boundAt(step: RootStep): string[] {
  return step.kind === 'bind' ? [step.at] : [];
}

/** Read without following a link: one in a directory could point at any file of the host. */
async function readPlainFile(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => null,
  );
  if (file === null) return '';
  try {
    return (await file.stat()).isFile() ? await file.readFile('utf8') : '';
  } finally {
    await file.close();
  }
}

async function isPlainFile(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null))?.isFile() ?? false;
}

function missing(rootfs: string, why: string): WarmpoolError {
  return new WarmpoolError('IMAGE_MISSING', `bubblewrap: rootfs ${rootfs} ${why}`, { facts: { rootfs } });
}

const kernelPlaces = ['/proc', '/dev', '/sys'];
/** Made for each sandbox, whatever the directory has there, or planned apart. */
const ownAtTop = new Set(['proc', 'dev', 'sys', 'tmp', 'run', 'home', 'etc', 'lost+found']);
