import type { Principal, SandboxSession, SpawnRequest } from '../allocator/api.ts';
import { responderFailure } from '../allocator/responder-failure.ts';
import type { GuestProcess, OutputSink, ProcessExit } from '../guest-link/guest.ts';
import { attachProcess, type Process, startProcess, type TerminalSize } from '../operations/process.ts';
import type { Edge } from './edge.ts';
import type { ExecStarted } from './gen/warmpool/v1/ExecStarted.ts';
import type { SessionAttach, SessionStart } from './parse-requests.ts';

/** The process of an ExecStream, whichever way it was begun. */
export interface StreamedProcess
  extends Pick<GuestProcess, 'exited' | 'release' | 'writeStdin' | 'endStdin' | 'signal'> {
  readonly started: ExecStarted;
  readonly takesStdin: boolean;
  /** Whether the end of the stream is the end of its input: not where a cut connection would then end a shell. */
  readonly endsWithStream: boolean;
  /** Of a terminal. */
  readonly resize?: (size: TerminalSize) => void;
  /** Lets go of what the stream held; the process has ended, or goes on without the stream. */
  close(): void;
}

interface Call {
  readonly edge: Edge;
  readonly principal: Principal;
  /** On abort a process that is not detached ends. */
  readonly signal: AbortSignal;
}

export async function spawnPlain(
  call: Call,
  request: SpawnRequest,
  output: OutputSink,
): Promise<StreamedProcess> {
  const process = await call.edge.allocator.spawn(call.principal, request, output, call.signal);
  return {
    started: { pid: process.pid, process: process.process },
    takesStdin: request.stdin,
    endsWithStream: true,
    exited: process.exited,
    release: (byteCount) => process.release(byteCount),
    writeStdin: (bytes) => process.writeStdin(bytes),
    endStdin: () => process.endStdin(),
    signal: (signalNumber) => process.signal(signalNumber),
    close() {},
  };
}

export function startInSession(
  call: Call,
  request: SessionStart,
  output: OutputSink,
): Promise<StreamedProcess> {
  const { sandboxId, argv, stdin, timeoutMs, tty, detach, replayBytes, env, user, cwd } = request;
  return inSession(call, sandboxId, output, stdin, (session, options) => {
    const custom = { env, ...(user !== undefined && { user }), ...(cwd !== undefined && { cwd }) };
    const command = { argv, stdin, timeoutMs, tty, detach, replayBytes, ...session.completeExec(custom) };
    return startProcess(session.guest, command, options);
  });
}

export function attachInSession(
  call: Call,
  request: SessionAttach,
  output: OutputSink,
): Promise<StreamedProcess> {
  return inSession(call, request.sandboxId, output, true, (session, options) =>
    attachProcess(session.guest, request, options),
  );
}

async function inSession(
  call: Call,
  sandboxId: string,
  output: OutputSink,
  takesStdin: boolean,
  begin: (session: SandboxSession, options: ProcessOptions) => Promise<Process>,
): Promise<StreamedProcess> {
  const session = await call.edge.allocator.openSession(call.principal, sandboxId, call.signal);
  const sink = {
    onOutput(stream: 'stdout' | 'stderr', bytes: Uint8Array) {
      session.used();
      output.onOutput(stream, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    },
  };
  try {
    session.used();
    return streamed(session, await begin(session, { sink, signal: call.signal }), takesStdin);
  } catch (error) {
    session.close();
    throw responderFailure(error);
  }
}

type ProcessOptions = NonNullable<Parameters<typeof startProcess>[2]>;

function streamed(session: SandboxSession, process: Process, takesStdin: boolean): StreamedProcess {
  const exited = process.exited.catch((error: unknown): ProcessExit => {
    throw responderFailure(error);
  });
  exited.catch(() => {});
  return {
    started: { pid: process.pid, process: process.number, offset: process.startOffset, tty: process.tty },
    takesStdin,
    endsWithStream: false,
    exited,
    release: (byteCount) => process.release(byteCount),
    async writeStdin(bytes) {
      session.used();
      await process.writeInput(bytes);
    },
    endStdin: () => process.endInput(),
    signal: (signalNumber) => process.signal(signalNumber),
    ...(process.tty && { resize: (size) => process.resize(size) }),
    close: () => session.close(),
  };
}
