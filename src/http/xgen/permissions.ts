import type { XgenRole } from '../../auth/xgen-tokens.ts';

export type XgenPermission =
  | 'sandbox:create'
  | 'sandbox:read'
  | 'sandbox:write'
  | 'sandbox:delete'
  | 'sandbox:exec'
  | 'admin:read';

const user = ['sandbox:create', 'sandbox:read', 'sandbox:write', 'sandbox:exec'] as const;
const permissions: Readonly<Record<XgenRole, ReadonlySet<XgenPermission>>> = {
  admin: new Set([...user, 'sandbox:delete', 'admin:read']),
  user: new Set(user),
  viewer: new Set(['sandbox:read']),
};

/** The matrix of the published API. */
export function isPermitted(role: XgenRole, permission: XgenPermission): boolean {
  return permissions[role].has(permission);
}
