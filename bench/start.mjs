// `npm run bench`: compiles what is measured, as the build does, and runs it. Run from source every function would be
// wrapped to keep its name, and the service would be another program than the one that users start.
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import typescript from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, 'bench/dist');
const { config } = typescript.readConfigFile(join(root, 'tsconfig.json'), typescript.sys.readFile);
const { options } = typescript.convertCompilerOptionsFromJson(config.compilerOptions, root);
const compilerOptions = {
  ...options,
  module: typescript.ModuleKind.ESNext,
  sourceMap: false,
  declaration: false,
};

const outputs = new Set();
for (const folder of ['src', 'protocol', 'bench', 'test/support']) {
  for (const name of readdirSync(join(root, folder), { recursive: true })) {
    if (/(?<!\.d)\.ts$/.test(name)) outputs.add(compiled(join(folder, name)));
  }
}
// What was deleted must not live on.
for (const name of readdirSync(target, { recursive: true })) {
  if (name.endsWith('.js') && !outputs.has(join(target, name))) rmSync(join(target, name));
}
// Its scripts need no compiling.
if (!existsSync(join(target, 'guest'))) symlinkSync(join(root, 'guest'), join(target, 'guest'));

/** Types are left out: `npm run check` reads them. Only what has changed is compiled again. */
function compiled(path) {
  const [source, output] = [join(root, path), join(target, path.replace(/\.ts$/, '.js'))];
  if (existsSync(output) && statSync(output).mtimeMs > statSync(source).mtimeMs) return output;
  const text = readFileSync(source, 'utf8');
  const { outputText } = typescript.transpileModule(text, { fileName: source, compilerOptions });
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, outputText);
  return output;
}

const bench = spawn(process.execPath, [join(target, 'bench/run.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
// Ctrl-C reaches the bench by itself, which ends its servers in its own order.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => bench.kill('SIGTERM'));
bench.on('exit', (code, signal) => {
  process.exitCode = signal === null ? (code ?? 1) : 1;
});
