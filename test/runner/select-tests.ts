import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface Selection {
  readonly files: readonly string[];
  readonly soak: boolean;
  /** Only tests whose name matches. */
  readonly name: string | null;
}

/** Which files to run: all `*.test.ts`, or with `--soak` the `*.soak.ts`, narrowed by paths or parts of paths. */
export function selectTests(root: string, args: readonly string[]): Selection | { readonly error: string } {
  let parsed: ReturnType<typeof parseCommandLine>;
  try {
    parsed = parseCommandLine(args);
  } catch (error) {
    return { error: `test/run.ts: ${error instanceof Error ? error.message : String(error)}` };
  }
  const { values, positionals } = parsed;
  const soak = values.soak === true;
  const suffix = soak ? '.soak.ts' : '.test.ts';
  const all = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(root, 'test', name))
    .sort();
  const files = all.filter(
    (file) => positionals.length === 0 || positionals.some((part) => isMeant(root, file, part)),
  );
  const unused = positionals.filter((part) => !all.some((file) => isMeant(root, file, part)));
  if (unused.length > 0) return { error: `no *${suffix} file matches ${unused.join(', ')}` };
  if (files.length === 0) return { error: `there are no *${suffix} files` };
  return { files, soak, name: values.name ?? null };
}

function parseCommandLine(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: { soak: { type: 'boolean' }, name: { type: 'string' } },
    allowPositionals: true,
  });
}

function isMeant(root: string, file: string, part: string): boolean {
  const path = resolve(part);
  if (existsSync(path)) return file === path || file.startsWith(`${path}/`);
  return relative(root, file).includes(part);
}

/** Whether any of these files asks for an engine: starting one for tests of the configuration would be silly. */
export function needsEngine(files: readonly string[]): boolean {
  const asks = /useDockerEngine|dockerEngineMissing|docker-sandboxes\.ts'|requirement\('docker'\)/;
  return files.some((file) => asks.test(readFileSync(file, 'utf8')));
}
