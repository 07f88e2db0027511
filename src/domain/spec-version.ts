import { createHash } from 'node:crypto';
import type { TemplateSpec } from './pool-spec.ts';

/**
 * Names a template's content: two templates have the same version exactly when they say the same, in whatever order
 * their keys were written. Sandboxes booted from another version are recycled (D18). 16 hex digits are 64 bits: more
 * than enough to tell the few versions of one pool apart, and short enough to be read in a log line.
 */
export function specVersionOf(template: TemplateSpec): string {
  return createHash('sha256').update(canonicalJson(template)).digest('hex').slice(0, 16);
}

/** JSON with the keys of every object sorted by code unit. Only for plain data: no undefined, no dates. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}
