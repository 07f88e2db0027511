/**
 * One name for (tenant, request id). The tenant's own colons are escaped, so that no tenant can spell the key of
 * another one (`a:b` + `c` is not `a` + `b:c`).
 */
export function requestKey(tenant: string, requestId: string): string {
  return `${tenant.replace(/[%:]/g, escapeCharacter)}:${requestId}`;
}

function escapeCharacter(character: string): string {
  return character === '%' ? '%25' : '%3A';
}
