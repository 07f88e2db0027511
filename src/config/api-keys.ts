import { type Scope, scopes } from '../domain/scopes.ts';
import type { ApiKeyEntry } from './config.ts';

/**
 * A key that names no scopes may do everything with its own sandboxes and nothing to the pools, which belong to all
 * tenants: `admin` is always asked for by name.
 */
const defaultScopes: readonly Scope[] = scopes.filter((scope) => scope !== 'admin');

/** The name travels in store keys, metrics-free logs and metadata; the rule is that of pool names. */
export const tenantPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads `tenant:sha256hex[:scope+scope]`, the entries separated by commas or lines, `#` starting a comment line.
 * Failures name the entry by its position and never repeat it: a person may have pasted the key itself.
 */
export function parseApiKeys(text: string): {
  readonly keys: readonly ApiKeyEntry[];
  readonly errors: readonly string[];
} {
  const keys: ApiKeyEntry[] = [];
  const errors: string[] = [];
  const entries = text
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('#'))
    .flatMap((line) => line.split(','))
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  for (const [index, entry] of entries.entries()) {
    const parsed = parseEntry(entry);
    if ('error' in parsed) errors.push(`entry ${index + 1}: ${parsed.error}`);
    else if (keys.some((key) => key.sha256 === parsed.key.sha256)) {
      errors.push(`entry ${index + 1}: the same key is there twice`);
    } else keys.push(parsed.key);
  }
  return { keys, errors };
}

function parseEntry(entry: string): { readonly key: ApiKeyEntry } | { readonly error: string } {
  const [tenant = '', sha256 = '', scopeList, ...rest] = entry.split(':');
  if (rest.length > 0) return { error: 'must read tenant:sha256hex or tenant:sha256hex:scope+scope' };
  if (!tenantPattern.test(tenant)) {
    return { error: 'the tenant must be 1 to 63 of a-z, 0-9 and -, not starting or ending with -' };
  }
  if (!/^[0-9a-f]{64}$/i.test(sha256)) {
    return {
      error:
        "the second part must be the key's SHA-256 in 64 hex digits (printf %s KEY | sha256sum), never the key",
    };
  }
  if (scopeList === undefined)
    return { key: { tenant, sha256: sha256.toLowerCase(), scopes: defaultScopes } };
  const asked = scopeList.split('+');
  const unknown = asked.some((name) => !scopes.some((scope) => scope === name));
  if (unknown) return { error: `scopes are ${scopes.join(', ')}, joined by +` };
  return { key: { tenant, sha256: sha256.toLowerCase(), scopes: [...new Set(asked)] } };
}
