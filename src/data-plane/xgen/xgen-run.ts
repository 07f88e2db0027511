import { ResponderError } from '../../../protocol/channel-opener.ts';
import type { SandboxSession } from '../../allocator/api.ts';
import { type Process, startProcess } from '../../operations/process.ts';
import { writeFile } from '../../operations/write-file.ts';
import { XgenFailure } from './xgen-failure.ts';
import { commandFolder, parseWorkspacePath, workspaceRoot } from './xgen-paths.ts';
import { sigkill, sigterm } from './xgen-signals.ts';
import { sandboxUser, xgenEnvironment } from './xgen-user.ts';
import { makeWorkspace } from './xgen-workspace.ts';

export interface XgenRun {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Empty: the workspace. */
  readonly cwd: string;
  readonly timeoutMs: number;
}

/** Bytes of each stream that are kept; what was beyond that is lost, and counted as cut. */
export interface XgenRunOutcome {
  readonly exitCode: number;
  readonly stdout: KeptOutput;
  readonly stderr: KeptOutput;
}

/** The first bytes of a stream, up to `keptBytesMax`. */
export class KeptOutput {
  readonly #pieces: Uint8Array[] = [];
  #keptBytes = 0;
  /** More came than was kept. */
  overflowed = false;

  add(bytes: Uint8Array): void {
    const room = keptBytesMax - this.#keptBytes;
    if (bytes.length > room) this.overflowed = true;
    if (room === 0) return;
    const kept = bytes.subarray(0, room);
    this.#pieces.push(kept);
    this.#keptBytes += kept.length;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces, this.#keptBytes);
  }
}

/**
 * Runs a command to its end, as a process of a connection would be run. Throws XgenFailure: EXEC_TIMEOUT once the process
 * group is killed, INVALID_PARAMETER for a folder that is not there. When the caller leaves, the process is ended too.
 */
export async function runXgenCommand(
  session: SandboxSession,
  run: XgenRun,
  left: AbortSignal,
): Promise<XgenRunOutcome> {
  const stdout = new KeptOutput();
  const stderr = new KeptOutput();
  await makeWorkspace(session.guest);
  const folder = commandFolder(run.cwd);
  const { env, user, cwd } = session.completeExec({
    env: xgenEnvironment(session.record, folder, run.env),
    user: sandboxUser,
    cwd: folder,
  });
  let early = 0;
  let process: Process | undefined;
  const onOutput = (stream: 'stdout' | 'stderr', bytes: Uint8Array) => {
    (stream === 'stdout' ? stdout : stderr).add(bytes);
    if (process) process.release(bytes.length);
    else early += bytes.length;
  };
  try {
    process = await startProcess(
      session.guest,
      { argv: [run.command, ...run.args], env, user, cwd, stdin: false, timeoutMs: run.timeoutMs },
      { sink: { onOutput } },
    );
  } catch (error) {
    return refusedStart(error, run);
  }
  process.release(early);
  const stop = endWhenAborted(process, left);
  try {
    const exit = await process.exited;
    if (exit.timedOut) {
      throw new XgenFailure('EXEC_TIMEOUT', 'the command did not end in time', {
        sandbox_id: session.record.id,
        timeout_ms: run.timeoutMs,
      });
    }
    return { exitCode: exit.exitCode ?? 128 + (exit.signal ?? 0), stdout, stderr };
  } finally {
    stop();
  }
}

/** Below the workspace; gives the path as it was asked for. */
export async function writeXgenArtifact(
  session: SandboxSession,
  path: string,
  content: string,
): Promise<void> {
  const parsed = parseWorkspacePath(path);
  if ('error' in parsed) throw new XgenFailure('INVALID_PARAMETER', parsed.error, { field: 'artifact_path' });
  const request = {
    path: parsed.value.absolute,
    root: workspaceRoot,
    user: sandboxUser,
    cwd: '/',
    parents: true,
  };
  await writeFile(session.guest, request, Buffer.from(content));
}

/** As a shell says it, where the command cannot be run. */
function refusedStart(error: unknown, { command, cwd }: XgenRun): XgenRunOutcome {
  const code = error instanceof ResponderError ? error.code : '';
  const stderr = new KeptOutput();
  if (code === 'command_not_found' || code === 'command_not_executable') {
    const notFound = code === 'command_not_found';
    stderr.add(Buffer.from(`${command}: ${notFound ? 'command not found' : 'cannot be executed'}\n`));
    return { exitCode: notFound ? 127 : 126, stdout: new KeptOutput(), stderr };
  }
  if (code === 'cwd_invalid') {
    throw new XgenFailure('INVALID_PARAMETER', 'cwd: no such directory', { field: 'cwd', value: cwd });
  }
  if (code === 'invalid_payload' && error instanceof Error) {
    throw new XgenFailure('INVALID_PARAMETER', error.message);
  }
  throw error;
}

function endWhenAborted(process: Process, left: AbortSignal): () => void {
  let kill: NodeJS.Timeout | undefined;
  const end = () => {
    process.signal(sigterm);
    kill = setTimeout(() => process.signal(sigkill), killAfterMs);
  };
  if (left.aborted) end();
  left.addEventListener('abort', end, { once: true });
  return () => {
    left.removeEventListener('abort', end);
    clearTimeout(kill);
  };
}

const keptBytesMax = 10 * 1_048_576;
const killAfterMs = 2_000;
