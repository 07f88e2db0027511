import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { packageRoot } from '../../src/package-root.ts';

/** One file of the tree with what it imports, for the tests of the tree's rules. */
export interface SourceFile {
  /** From the package root, such as `src/domain/ids.ts`. */
  readonly path: string;
  readonly text: string;
  /** The text without comments, so that a sentence about a forbidden thing is not the thing. */
  readonly code: string;
  /** Our own files by path, packages by name, `import type` and `export … from` too. */
  readonly imports: readonly string[];
}

/** What git knows or would take, without what it ignores: built files are nobody's handwriting. */
export function sourceFiles(): readonly SourceFile[] {
  const root = packageRoot();
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  return listed
    .split('\n')
    .filter((path) => /\.(ts|mjs)$/.test(path) && !path.startsWith('src/grpc/gen/'))
    .flatMap((path) => {
      const text = readIfThere(join(root, path));
      if (text === null) return [];
      const code = withoutComments(text);
      return [{ path, text, code, imports: importsOf(path, code) }];
    });
}

/** Every file git would take, whatever its kind. */
export function treePaths(): readonly string[] {
  return execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: packageRoot(),
    encoding: 'utf8',
  })
    .split('\n')
    .filter((path) => path !== '');
}

function importsOf(path: string, code: string): string[] {
  const specifiers = [
    ...code.matchAll(/^\s*(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]/gm),
    ...code.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm),
    ...code.matchAll(/\bimport\s*\(\s*['"]([^'"]+)['"]/g),
  ].map((match) => match[1] ?? '');
  return specifiers.map((specifier) =>
    specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : specifier,
  );
}

/** Good enough for code that a formatter has laid out: no comment marks inside strings but `//` of URLs and globs. */
function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*[\s\S]*?\*\//gm, '').replace(/(^|\s)\/\/ .*$/gm, '$1');
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
