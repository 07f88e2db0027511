import type { SandboxRecord } from '../../domain/sandbox.ts';
import { workspaceHome } from './xgen-paths.ts';

/**
 * Who runs commands and owns files in this dialect, whatever the template's user is. By number: an image without the
 * account runs the same uid and environment.
 */
export const sandboxUser = '1000';

/**
 * The base environment of this dialect, then the sandbox's own, then the request's. PATH and TERM are the template's; with
 * PWD a shell says where it is by the name the client knows, even where a part of that is a symbolic link.
 */
export function xgenEnvironment(
  record: Pick<SandboxRecord, 'claim'>,
  cwd: string,
  requested: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const base = { HOME: workspaceHome, USER: 'sandbox', LOGNAME: 'sandbox', PWD: cwd };
  return { ...base, ...record.claim?.customisation.env, ...requested };
}
