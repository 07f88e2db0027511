/** The one user of a sandbox. Its name and numbers inside; outside it is the sandbox's host uid. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

export const defaultAccount: Account = { name: 'user', uid: 1000, gid: 1000, home: '/home/user' };

/**
 * The account a template's `user` asks for: a name, or numbers that are its own. Root is refused, because only one
 * unprivileged uid is mapped and everything else is an error, never ignored (HARDENING.md, B16).
 */
export function accountOf(user: string): Account | { readonly error: string } {
  const [name = '', group] = user.split(':');
  if (name === '' || name === '1000') return defaultAccount;
  if (name === 'root' || name === '0')
    return { error: 'bubblewrap maps one unprivileged user: no command can run as root; use runtime docker' };
  if (/^\d+$/.test(name))
    return { error: `bubblewrap maps one user, 1000: uid ${name} cannot be had; use runtime docker` };
  if (!namePattern.test(name)) return { error: `"${name}" is no user name` };
  if (group !== undefined && group !== name && group !== '1000')
    return { error: `bubblewrap maps one group, that of ${name}: group ${group} cannot be had` };
  return { name, uid: 1000, gid: 1000, home: `/home/${name}` };
}

export function passwdFile(account: Account): string {
  return [
    'root:x:0:0:root:/root:/bin/sh',
    passwdLine(account),
    'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
    '',
  ].join('\n');
}

export function groupFile(account: Account): string {
  return ['root:x:0:', `${account.name}:x:${account.gid}:`, 'nogroup:x:65534:', ''].join('\n');
}

/**
 * The account files of a root that brings its own: our account replaces one of the same name or number, because inside
 * only that one exists.
 */
export function withAccount(
  files: { readonly passwd: string; readonly group: string },
  account: Account,
): { readonly passwd: string; readonly group: string } {
  return {
    passwd: replaceLine(files.passwd, account.name, account.uid, passwdLine(account)),
    group: replaceLine(files.group, account.name, account.gid, `${account.name}:x:${account.gid}:`),
  };
}

function replaceLine(file: string, name: string, id: number, line: string): string {
  const others = file.split('\n').filter((each) => {
    const [itsName, , itsId] = each.split(':');
    return each !== '' && itsName !== name && itsId !== String(id);
  });
  return [...others, line, ''].join('\n');
}

function passwdLine({ name, uid, gid, home }: Account): string {
  return `${name}:x:${uid}:${gid}::${home}:/bin/sh`;
}

/** What useradd accepts everywhere; a name becomes part of a path and of account files. */
const namePattern = /^[a-z_][a-z0-9_-]{0,31}$/;
