import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import type { NodeSandbox } from '../client/node/node-sandbox.ts';
import type { TransferOptions, Transferred } from '../client/node/node-sandbox-files.ts';
import { WarmpoolClientError } from '../client/warmpool-client-error.ts';
import { formatBytes } from './bytes.ts';
import { type Place, parsePlace, targetIn } from './copy-place.ts';
import { formatDuration } from './duration.ts';
import { guarded, Interrupted } from './failure.ts';
import { printable, printableJson } from './printable.ts';
import { ProgressBar } from './progress-bar.ts';
import { interruptible, withSandbox } from './sandbox-session.ts';

export function addCopyCommand(program: Command): void {
  program
    .command('cp')
    .description('copy files and directories into a sandbox or out of it')
    .argument('<source>', 'a path here, or ID:path')
    .argument('<target>', 'ID:path, or a path here; an existing directory gets it under its own name')
    .option('--user <name>', 'user in the sandbox')
    .option('--json', 'one JSON document')
    .action(guarded(copy));
}

interface CopyFlags {
  readonly user?: string;
  readonly json?: boolean;
}

async function copy(source: string, target: string, flags: CopyFlags, command: Command): Promise<void> {
  const [from, to] = [parsePlace(source), parsePlace(target)];
  const id = sandboxOf(from, to);
  const beganAtMs = performance.now();
  using interruption = interruptible();
  const { signal } = interruption;
  const done = await withSandbox(command, id, async (sandbox) => {
    using bar = new ProgressBar();
    const options = { signal, ...(!flags.json && { onProgress: bar.show.bind(bar) }) };
    try {
      return await transfer(sandbox, from, to, flags.user, options);
    } catch (error) {
      throw signal.aborted ? new Interrupted(2) : placed(error, from.kind === 'sandbox' ? from : to);
    }
  });
  report(done, performance.now() - beganAtMs, flags);
}

function sandboxOf(from: Place, to: Place): string {
  if (from.kind === 'sandbox' && to.kind === 'sandbox') {
    throw new Error(
      'one of the two must be on this machine: copy out of the one sandbox, then into the other',
    );
  }
  if (from.kind === 'sandbox') return from.id;
  if (to.kind === 'sandbox') return to.id;
  throw new Error('one of the two must be in a sandbox, written ID:path (warmpool ls shows ids)');
}

async function transfer(
  sandbox: NodeSandbox,
  from: Place,
  to: Place,
  user: string | undefined,
  options: TransferOptions,
): Promise<Transferred> {
  const files = user === undefined ? sandbox.files : sandbox.files.within({ user });
  if (to.kind === 'sandbox') {
    const isDirectory = await answersDirectory(files.stat(to.path, options));
    return await files.upload(from.path, isDirectory ? targetIn(to.path, from.path) : to.path, options);
  }
  const isDirectory = (await stat(to.path).catch(() => null))?.isDirectory() === true;
  return await files.download(from.path, isDirectory ? targetIn(to.path, from.path) : to.path, options);
}

/** What the sandbox refuses is said of the place in it: its own words begin with the step that failed. */
function placed(error: unknown, place: Place): unknown {
  if (!(error instanceof WarmpoolClientError && fileCodes.has(error.code))) return error;
  const where = place.kind === 'sandbox' ? `${place.id}:${place.path}` : place.path;
  return new Error(`${where}: ${error.message.replace(/^\w+: /, '')}`, { cause: error });
}

/** Of protocol/README.md, section 9. */
const fileCodes: ReadonlySet<string> = new Set([
  'not_found',
  'exists',
  'not_directory',
  'is_directory',
  'not_regular',
  'permission_denied',
  'read_only',
  'no_space',
]);

async function answersDirectory(answer: Promise<{ readonly kind: string }>): Promise<boolean> {
  try {
    return (await answer).kind === 'directory';
  } catch (error) {
    if (error instanceof WarmpoolClientError && error.code === 'not_found') return false;
    throw error;
  }
}

function report(done: Transferred, durationMs: number, flags: CopyFlags): void {
  if (flags.json) {
    const { bytes, entries, skipped } = done;
    const document = { bytes, entries, skipped, duration_ms: Math.round(durationMs) };
    process.stdout.write(`${printableJson(document)}\n`);
    return;
  }
  for (const name of done.skipped) {
    process.stderr.write(`warmpool: left out ${printable(name)}: no file, directory or link\n`);
  }
  if (!process.stderr.isTTY) return;
  const what = `${done.entries} ${done.entries === 1 ? 'entry' : 'entries'}, ${formatBytes(done.bytes)}`;
  process.stderr.write(`${what} in ${formatDuration(durationMs)}\n`);
}
