import type { Command } from 'commander';
import { describeFailure } from './failure.ts';
import { printable, printableJson } from './printable.ts';
import { interruptible, withSandbox } from './sandbox-session.ts';

export interface FileWatchFlags {
  readonly recursive?: boolean;
  readonly json?: boolean;
}

/** Prints what changes in a directory of a sandbox, until interrupted. A cut connection is made again, and says so. */
export async function watchFilesOf(
  id: string,
  path: string,
  flags: FileWatchFlags,
  command: Command,
): Promise<void> {
  using interruption = interruptible();
  const { signal } = interruption;
  const show = flags.json ? showJson : showLine;
  await withSandbox(command, id, async (sandbox) => {
    while (!signal.aborted) {
      try {
        const events = await sandbox.files.watch(path, { recursive: flags.recursive ?? false, signal });
        for await (const event of events) show(event);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!isCut(error)) throw error;
        process.stderr.write(`warmpool: ${describeFailure(error)}: changes may have been missed\n`);
        show({ event: 'overflow' });
      }
    }
  });
}

type Shown = { readonly event: string; readonly path?: string | Uint8Array; readonly kind?: string };

function showLine({ event, path, kind }: Shown): void {
  if (event === 'overflow') {
    process.stdout.write('overflow: some changes were missed\n');
    return;
  }
  const what = kind === undefined || kind === 'file' ? '' : `  (${kind})`;
  process.stdout.write(`${event.padEnd(10)}  ${printable(nameOf(path)) || '.'}${what}\n`);
}

function showJson({ event, path, kind }: Shown): void {
  const document = { event, ...(path !== undefined && { path: nameOf(path) }), ...(kind && { kind }) };
  process.stdout.write(`${printableJson(document, 0)}\n`);
}

/** A name that is no text is shown with U+FFFD for what is not. */
function nameOf(path: string | Uint8Array | undefined): string {
  return typeof path === 'string' ? path : new TextDecoder().decode(path ?? new Uint8Array());
}

function isCut(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'connection_lost';
}
