import { chmodSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { makeRunFolder } from './leftovers.ts';

/**
 * The sources and the tests, compiled once for a run. With tsx every process that a test starts compiles, or finds again,
 * each of the files it loads, and there are hundreds of both: that was half of the work of a run.
 *
 * It lies in the package, for its files to find the package's own (`packageRoot()`) and its dependencies, and it goes with
 * the run. What is compiled is one file for each source, as in `dist/`: a bundle would start no faster, and would hide
 * from a test which file it is in.
 */
export class CompiledTree implements Disposable {
  readonly #root: string;
  readonly folder: string;

  private constructor(root: string, folder: string) {
    this.#root = root;
    this.folder = folder;
  }

  static async make(root: string): Promise<CompiledTree> {
    const caches = join(root, 'node_modules', '.cache');
    await mkdir(caches, { recursive: true });
    const tree = new CompiledTree(root, makeRunFolder(caches));
    try {
      await tree.#compile();
      return tree;
    } catch (error) {
      tree[Symbol.dispose]();
      throw error;
    }
  }

  /** Where a source file is once it is compiled. */
  pathOf(source: string): string {
    return compiledName(join(this.folder, relative(this.#root, source)));
  }

  /** One source file that has changed since. */
  async compileAgain(source: string): Promise<void> {
    await this.#compile([relative(this.#root, source)]);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #compile(entryPoints: string[] = everything): Promise<void> {
    // Unlike a folder for temporary files, nobody but us writes here.
    chmodSync(this.folder, 0o755);
    await build({
      absWorkingDir: this.#root,
      entryPoints,
      outbase: '.',
      outdir: this.folder,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      keepNames: true,
      sourcemap: 'linked',
      sourcesContent: false,
      logLevel: 'error',
      bundle: true,
      packages: 'external',
      plugins: [eachFileByItself],
    });
  }
}

const everything = ['src/**/*.ts', 'protocol/**/*.ts', 'test/**/*.ts'];

/** Leaves every import in place, under the name of what it leads to: our own compiled files, or a script as it is. */
const eachFileByItself: Plugin = {
  name: 'each file by itself',
  setup(compilation) {
    compilation.onResolve({ filter: /^\.\.?\// }, ({ kind, path, resolveDir }) => {
      if (kind === 'entry-point') return null;
      if (path.endsWith('.ts')) return { path: compiledName(path), external: true };
      return { path: pathToFileURL(join(resolveDir, path)).href, external: true };
    });
  },
};

function compiledName(path: string): string {
  return path.replace(/\.ts$/, '.js');
}
