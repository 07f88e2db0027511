import type { WritablePlaces } from './disk-layout.ts';

/**
 * The home of a template's user (`name`, `uid`, either with `:group`; empty is the guest's own, uid 0) by the image's
 * /etc/passwd. Null when the user or a home that may be covered by a mount is missing: the sandbox still boots, and the
 * guest says what is wrong with a user when a command asks for it.
 */
export function findUserHome(user: string, passwd: string): WritablePlaces['home'] {
  const wanted = user === '' ? '0' : (user.split(':')[0] ?? '');
  for (const line of passwd.split('\n')) {
    const [name, , uidText, gidText, , path = ''] = line.split(':');
    if (name !== wanted && uidText !== wanted) continue;
    const [uid, gid] = [Number(uidText), Number(gidText)];
    if (!Number.isSafeInteger(uid) || !Number.isSafeInteger(gid)) return null;
    return isCoverable(path) ? { path, uid, gid } : null;
  }
  return null;
}

/** Whether an empty mount may lie over this directory without taking the system away from the sandbox. */
export function isCoverable(path: string): boolean {
  if (!/^(\/[A-Za-z0-9._-]+)+$/.test(path) || path.split('/').includes('..')) return false;
  const [, top = ''] = path.split('/');
  return !systemFolders.has(top) && !['/var', '/tmp', '/run', '/var/tmp', '/home'].includes(path);
}

const systemFolders = new Set([
  '.warmpool',
  'bin',
  'boot',
  'dev',
  'etc',
  'lib',
  'lib32',
  'lib64',
  'libx32',
  'proc',
  'sbin',
  'sys',
  'usr',
]);
