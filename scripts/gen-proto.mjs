/**
 * Writes the TypeScript types of proto/ into src/grpc/gen, and its descriptors with the health service's (for
 * reflection, comments included) into proto/descriptors.binpb. With `--check` it writes nothing and exits 1, naming the files, when what is committed is not
 * what the contract says.
 *
 * The options must be those of src/grpc/wire/contract.ts, which loads the same files at run time.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const protoFolder = join(root, 'proto');
const committed = join(root, 'src/grpc/gen');
const committedDescriptors = join(protoFolder, 'descriptors.binpb');
const generator = join(root, 'node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js');
const buf = join(root, 'node_modules/@bufbuild/buf/bin/buf');

if (process.argv.includes('--check')) {
  const fresh = mkdtempSync(join(tmpdir(), 'warmpool-proto-'));
  try {
    generate(fresh);
    const freshDescriptors = join(fresh, 'descriptors.binpb');
    generateDescriptors(freshDescriptors);
    const differing = differences(fresh);
    if (read(freshDescriptors) !== read(committedDescriptors)) differing.push('proto/descriptors.binpb');
    if (differing.length > 0) {
      console.error(
        `the generated files are not what proto/ says; run \`node scripts/gen-proto.mjs\`:\n  ${differing.join('\n  ')}`,
      );
      process.exitCode = 1;
    }
  } finally {
    rmSync(fresh, { recursive: true });
  }
} else {
  rmSync(committed, { recursive: true, force: true });
  generate(committed);
  generateDescriptors(committedDescriptors);
}

function generate(folder) {
  const options = ['--longs=Number', '--enums=String', '--defaults', '--oneofs', '--grpcLib=@grpc/grpc-js'];
  // NodeNext wants the extension; the compiler rewrites `.ts` in what it emits.
  const extensions = ['--targetFileExtension=.ts', '--importFileExtension=.ts'];
  // What the services import comes with them; a file without a service would get a type tree with unused imports.
  const services = filesUnder(protoFolder, '_service.proto');
  execFileSync(
    process.execPath,
    [generator, ...options, ...extensions, '-I', 'proto', '-O', folder, ...services],
    // The include folder is relative because its path is written into each file's first line.
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  );
}

/** The contract and the health service. Sets of files joined byte by byte are one set: that is how protobuf is made. */
function generateDescriptors(file) {
  const health = join(root, 'node_modules/grpc-health-check/proto');
  const sets = [root, health].map((input) =>
    execFileSync(process.execPath, [buf, 'build', input, '--as-file-descriptor-set', '--output', '-'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  writeFileSync(file, Buffer.concat(sets));
}

function differences(fresh) {
  const names = new Set([...filesUnder(fresh, '.ts'), ...filesUnder(committed, '.ts')]);
  return [...names].sort().filter((name) => read(join(fresh, name)) !== read(join(committed, name)));
}

function read(file) {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return null;
  }
}

function filesUnder(folder, extension) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(extension))
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}
