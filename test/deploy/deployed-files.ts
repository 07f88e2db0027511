import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { settingsSchema, variableOf } from '../../src/config/settings.ts';
import { packageRoot } from '../../src/package-root.ts';

/** Text of a file of the package, by its path from the root. */
export function textOf(path: string): string {
  return readFileSync(join(packageRoot(), path), 'utf8');
}

/** All documents of a YAML file, its merge keys (`<<`) resolved. Throws on whatever is not YAML. */
export function documentsOf(text: string): unknown[] {
  return parseAllDocuments(text, { merge: true, strict: true }).map((document) => {
    for (const error of document.errors) throw error;
    return document.toJS({ maxAliasCount: -1 }) as unknown;
  });
}

export function documentOf(path: string): unknown {
  return parse(textOf(path), { merge: true, strict: true });
}

/** Every file below a folder of the package, by its path from the root. */
export function filesBelow(folder: string): string[] {
  return readdirSync(join(packageRoot(), folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(join(packageRoot(), path)).isFile() && !path.includes('/secrets/'))
    .sort();
}

/** What the service would say to these variables; empty when it takes them all. Others than its own are passed over. */
export function complaintsAbout(variables: Readonly<Record<string, string>>): string[] {
  const settings = Object.entries(variableOf).flatMap(([setting, variable]) => {
    const value = variables[variable];
    return value === undefined || value === '' ? [] : [[setting, value] as const];
  });
  const checked = settingsSchema.safeParse(Object.fromEntries(settings));
  return checked.success
    ? []
    : checked.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
}

/** The image's own ENV, over which every way of deploying says its own. */
export function imageVariables(): Record<string, string> {
  const joined = textOf('Dockerfile').replace(/\\\n/g, ' ');
  const pairs = joined
    .split('\n')
    .filter((line) => line.startsWith('ENV '))
    .flatMap((line) => [...line.matchAll(/(\w+)=(\S+)/g)]);
  return Object.fromEntries(pairs.map(([, key = '', value = '']) => [key, value]));
}

/** Ports by the names that the manifests give them, as the image listens. */
export function imagePorts(): Readonly<Record<'grpc' | 'http' | 'data', number>> {
  const variables = imageVariables();
  const portOf = (variable: string) => Number((variables[variable] ?? '').split(':').at(-1));
  return {
    grpc: portOf('WARMPOOL_GRPC_LISTEN'),
    http: portOf('WARMPOOL_HTTP_LISTEN'),
    data: portOf('WARMPOOL_DATA_LISTEN'),
  };
}
