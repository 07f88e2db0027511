import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PoolSpec } from '../domain/pool-spec.ts';
import { ConfigError, type ConfigIssue } from './config-error.ts';
import { deepFreeze } from './deep-freeze.ts';
import { maxLifetimeMsDefault, poolFieldsAt, poolSchema } from './pool-schema.ts';
import { issuesOf, YamlSource } from './yaml-source.ts';

/** Each pool is a closed metrics label and a replenisher of its own; hundreds are a mistake of the folder's name. */
const poolsMax = 256;

/** Every pool of a folder, by name, frozen. Used at start and again on reload. Throws ConfigError with all that is wrong. */
export function loadPools(folder: string): readonly PoolSpec[] {
  const { pools, issues } = readPools(folder);
  if (issues.length > 0) throw new ConfigError(issues);
  return pools;
}

export function readPools(folder: string): {
  readonly pools: readonly PoolSpec[];
  readonly issues: readonly ConfigIssue[];
} {
  const issues: ConfigIssue[] = [];
  const pools: PoolSpec[] = [];
  const fileOfName = new Map<string, string>();
  const refuse = (message: string) => ({ pools: [], issues: [{ source: folder, field: 'pools', message }] });

  let names: string[];
  try {
    names = readdirSync(folder)
      .filter((name) => /^[^.].*\.ya?ml$/.test(name))
      .sort();
  } catch (error) {
    return refuse(`the folder of pool files cannot be read (${systemCode(error)})`);
  }
  if (names.length === 0) return refuse('the folder has no pool files (*.yaml)');
  if (names.length > poolsMax) return refuse(`the folder has over ${poolsMax} pool files`);

  for (const name of names) {
    const file = join(folder, name);
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      issues.push({ source: file, field: '', message: `cannot be read (${systemCode(error)})` });
      continue;
    }
    const parsed = parsePoolFile(text, file);
    if ('issues' in parsed) {
      issues.push(...parsed.issues);
      continue;
    }
    const earlier = fileOfName.get(parsed.pool.name);
    if (earlier !== undefined) {
      issues.push({
        source: file,
        field: 'name',
        message: `${parsed.pool.name} is also the name in ${earlier}`,
      });
      continue;
    }
    fileOfName.set(parsed.pool.name, file);
    pools.push(parsed.pool);
  }
  return { pools, issues };
}

/** Reads one pool file; `file` is only its name in messages. */
export function parsePoolFile(
  text: string,
  file: string,
): { readonly pool: PoolSpec } | { readonly issues: readonly ConfigIssue[] } {
  const yaml = YamlSource.parse(file, text);
  if ('issues' in yaml) return yaml;
  const checked = poolSchema.safeParse(yaml.data);
  if (!checked.success) {
    return {
      issues: issuesOf(checked.error, {
        ofValue: (path) => yaml.source.placeOf(path),
        ofKey: (path, key) => yaml.source.placeOfKey(path, key),
        knownKeys: poolFieldsAt,
      }),
    };
  }
  const { name, template, size, waiting, lease } = checked.data;
  const { bootTimeout, ...templateRest } = template;
  const { maxIdleAge, scaleToZeroAfter, ...sizeRest } = size;
  return {
    pool: deepFreeze({
      name,
      template: { ...templateRest, bootTimeoutMs: bootTimeout },
      size: { ...sizeRest, maxIdleAgeMs: maxIdleAge, scaleToZeroAfterMs: scaleToZeroAfter },
      waiting,
      lease: {
        ttlMs: lease.ttl,
        maxLifetimeMs: lease.maxLifetime ?? maxLifetimeMsDefault,
        ...(lease.maxLifetime === undefined && { maxLifetimeIsDefault: true as const }),
        onExpiry: lease.onExpiry,
      },
    }),
  };
}

export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : 'unknown error';
}
