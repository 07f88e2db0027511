import type { SandboxRecord } from '../../domain/sandbox.ts';
import { workspaceHome } from './xgen-paths.ts';

/**
 * Who runs commands and owns files in this dialect, whatever the template's user is. By number: an image without the
 * account runs the same uid and environment.
 */
export const sandboxUser = '1000';

/** The base environment of this dialect, then the sandbox's own, then the request's. PATH and TERM are the template's. */
export function xgenEnvironment(
  record: Pick<SandboxRecord, 'claim'>,
  requested: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const base = { HOME: workspaceHome, USER: 'sandbox', LOGNAME: 'sandbox' };
  return { ...base, ...record.claim?.customisation.env, ...requested };
}
