import { join } from 'node:path';
import { build, type Metafile } from 'esbuild';
import { packageRoot } from '../../src/package-root.ts';

export interface Bundle {
  readonly script: string;
  readonly style: string;
  readonly inputs: Metafile['inputs'];
}

/** One file of the tree with all that it imports, as a browser gets it. `warmpool/client` is the source, not a build. */
export async function bundleForBrowsers(entry: string): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(packageRoot(), entry)],
    absWorkingDir: packageRoot(),
    alias: { 'warmpool/client': join(packageRoot(), 'src/client/entry-browser.ts') },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    outdir: 'out',
    platform: 'browser',
    format: 'esm',
    // Older than that xterm.js 6 is broken by lowering it.
    target: 'es2022',
    logLevel: 'silent',
  });
  const textOf = (end: string) => outputFiles.find(({ path }) => path.endsWith(end))?.text ?? '';
  return { script: textOf('.js'), style: textOf('.css'), inputs: metafile.inputs };
}
