import { ResponderError } from '../../../protocol/channel-opener.ts';
import { noPayload } from '../../../protocol/frame.ts';
import {
  encodeXgenAck,
  encodeXgenExecExit,
  type XgenErrorCode,
  type XgenExecStart,
  xgenOutputBytesMax,
  xgenTypes,
} from '../../../protocol/xgen-messages.ts';
import type { SandboxSession } from '../../allocator/api.ts';
import type { Log } from '../../observability/log.ts';
import { type Process, startProcess, type TerminalSize } from '../../operations/process.ts';
import { WholeCharacters } from './whole-characters.ts';
import type { XgenOutlet } from './xgen-outlet.ts';
import { commandFolder } from './xgen-paths.ts';
import type { XgenProcessIds } from './xgen-process-ids.ts';
import type { XgenReplies } from './xgen-replies.ts';
import { sigkill, sigterm } from './xgen-signals.ts';
import { sandboxUser, xgenEnvironment } from './xgen-user.ts';

export interface XgenExecDeps {
  readonly sandbox: Pick<SandboxSession, 'guest' | 'completeExec' | 'record'>;
  readonly outlet: XgenOutlet;
  /** Settles when the workspace is there, or could not be made. */
  readonly workspace: Promise<void>;
  readonly processIds: XgenProcessIds;
  readonly replies: Pick<XgenReplies, 'refuse'>;
  /** Input that the process has not taken yet: the change in bytes. */
  readonly inputWaits: (bytes: number) => void;
  readonly log: Log;
}

export interface XgenExecRequest {
  readonly start: XgenExecStart;
  /** Of the process from now on. */
  readonly channel: number;
  /** What an Error repeats: 0 where the client left the choice to us. */
  readonly askedChannel: number;
  readonly id: number;
}

/** What a client asked of a process: to be done, and then told. `done` false: the process never started or has ended. */
export interface XgenExecAction {
  act(process: Process): void;
  answer(done: boolean): void;
}

/**
 * One process of one connection, from its ExecStart to its ExecExit.
 *
 *   starting ──started──▶ running ──exit──▶ ended
 *      └──refused──▶ ended        running ──client gone──▶ abandoned ──exit, or killed──▶ ended
 *
 * Owns its window of the outlet, the characters that are held back, and what came for it while it was starting. It sends
 * Ack, output and ExecExit in this order and nothing afterwards; a start that is refused sends one Error instead, but for a
 * command that is not there, which is an exit with 127 as in a shell.
 */
export class XgenExec {
  readonly channel: number;
  /** Settles, never rejects, when the process has ended and its channel is free. */
  readonly ended: Promise<void>;
  readonly #deps: XgenExecDeps;
  readonly #request: XgenExecRequest;
  readonly #windowBytes: number;
  readonly #streams = { stdout: new HeldOutput(), stderr: new HeldOutput() };
  #waiting: XgenExecAction[] = [];
  #early: { readonly stream: 'stdout' | 'stderr'; readonly bytes: Uint8Array }[] | null = [];
  #process: Process | undefined;
  #processId: number | undefined;
  #state: 'starting' | 'running' | 'abandoned' | 'ended' = 'starting';
  #unsentBytes = 0;
  #windowGivenBack = false;

  constructor(deps: XgenExecDeps, request: XgenExecRequest) {
    this.#deps = deps;
    this.#request = request;
    this.channel = request.channel;
    this.#windowBytes = deps.outlet.reserveWindow();
    this.ended = this.#run().finally(() => this.#end());
  }

  /** Absent until it has started. */
  get processId(): number | undefined {
    return this.#state === 'running' ? this.#processId : undefined;
  }

  get isTerminal(): boolean {
    return this.#request.start.tty;
  }

  /** Now, or once it has started: what comes for one process is done in the order in which it came. */
  do(action: XgenExecAction): void {
    if (this.#state === 'starting') this.#waiting.push(action);
    else if (this.#state === 'running' && this.#process) {
      action.act(this.#process);
      action.answer(true);
    } else action.answer(false);
  }

  /** Dropped where nobody takes it any more. */
  input(bytes: Uint8Array, answer: (done: boolean) => void): void {
    this.#deps.inputWaits(bytes.length);
    const taken = () => this.#deps.inputWaits(-bytes.length);
    this.do({
      act: (process) => void process.writeInput(bytes).then(taken, taken),
      answer: (done) => {
        if (!done) taken();
        answer(done);
      },
    });
  }

  /** The client has gone: a terminal is hung up, any other gets time to end by itself, and then is killed. */
  abandon(): void {
    if (this.#state === 'ended') return;
    const hadStarted = this.#state === 'running';
    this.#state = 'abandoned';
    for (const action of this.#waiting.splice(0)) action.answer(false);
    if (hadStarted) this.#endProcess();
  }

  async #run(): Promise<void> {
    const process = await this.#start();
    if (process === null) return;
    this.#process = process;
    this.#processId = this.#deps.processIds.ofProcess(process.number);
    if (this.#state === 'abandoned') this.#endProcess();
    else {
      this.#state = 'running';
      this.#acknowledge(this.#processId);
      for (const action of this.#waiting.splice(0)) this.do(action);
    }
    // A lost guest leaves the status unknown; the connection is about to be closed for it.
    const exit = await process.exited.catch(() => null);
    this.#exit(exit === null ? -1 : (exit.exitCode ?? 128 + (exit.signal ?? 0)));
  }

  async #start(): Promise<Process | null> {
    const { start } = this.#request;
    const { sandbox, workspace } = this.#deps;
    try {
      await workspace;
      const folder = commandFolder(start.cwd);
      const { env, user, cwd } = sandbox.completeExec({
        env: xgenEnvironment(sandbox.record, folder, start.env),
        user: sandboxUser,
        cwd: folder,
      });
      return await startProcess(
        sandbox.guest,
        {
          argv: [start.command, ...start.args],
          env,
          user,
          cwd,
          stdin: true,
          ...(start.tty && { tty: xgenTerminalSize(start) }),
          windowBytes: this.#windowBytes,
        },
        { sink: { onOutput: (stream, bytes) => this.#onOutput(stream, bytes) } },
      );
    } catch (error) {
      this.#refuse(error);
      return null;
    }
  }

  #acknowledge(processId: number): void {
    const { id } = this.#request;
    const payload = encodeXgenAck(processId, this.channel);
    this.#deps.outlet.send({ type: xgenTypes.Ack, channel: this.channel, id, payload });
    const early = this.#early ?? [];
    this.#early = null;
    for (const { stream, bytes } of early) this.#onOutput(stream, bytes);
  }

  #refuse(error: unknown): void {
    const { command } = this.#request.start;
    const code = error instanceof ResponderError ? error.code : '';
    if (code === 'command_not_found') this.#exitAtOnce(127, `${command}: command not found\n`);
    else if (code === 'command_not_executable') this.#exitAtOnce(126, `${command}: cannot be executed\n`);
    else {
      const { askedChannel, id } = this.#request;
      const refusal = refusalOf(error);
      this.#deps.log.debug({ err: error, code: refusal.code }, 'xgen: a process could not be started');
      const frame = { type: xgenTypes.ExecStart, channel: askedChannel, id, payload: noPayload };
      this.#deps.replies.refuse(frame, refusal);
    }
  }

  #exitAtOnce(exitCode: number, message: string): void {
    this.#acknowledge(this.#deps.processIds.ofNotStarted());
    this.#sendOutput('stderr', new TextEncoder().encode(message));
    this.#exit(exitCode);
  }

  #exit(exitCode: number): void {
    for (const stream of ['stdout', 'stderr'] as const) this.#flush(stream);
    const payload = encodeXgenExecExit(exitCode);
    this.#deps.outlet.send({ type: xgenTypes.ExecExit, channel: this.channel, payload });
  }

  #end(): void {
    this.#state = 'ended';
    for (const action of this.#waiting.splice(0)) action.answer(false);
    this.#giveBackWindow();
  }

  #onOutput(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    if (this.#early !== null) {
      this.#early.push({ stream, bytes });
      return;
    }
    const held = this.#streams[stream];
    for (const piece of held.characters.push(bytes, xgenOutputBytesMax)) {
      held.stopTimer();
      this.#sendOutput(stream, piece);
    }
    if (held.characters.holds) held.startTimer(() => this.#flush(stream));
    else held.stopTimer();
  }

  #flush(stream: 'stdout' | 'stderr'): void {
    const held = this.#streams[stream];
    held.stopTimer();
    const bytes = held.characters.flush();
    if (bytes.length > 0) this.#sendOutput(stream, bytes);
  }

  /** The guest may send as much again once these bytes have left for the client. */
  #sendOutput(stream: 'stdout' | 'stderr', payload: Uint8Array): void {
    const type = stream === 'stdout' ? xgenTypes.ExecStdout : xgenTypes.ExecStderr;
    this.#unsentBytes += payload.length;
    this.#deps.outlet.send({ type, channel: this.channel, payload }, () => {
      this.#unsentBytes -= payload.length;
      this.#process?.release(payload.length);
      this.#giveBackWindow();
    });
  }

  /** Once, when nothing of it is in use any more. */
  #giveBackWindow(): void {
    if (this.#state !== 'ended' || this.#unsentBytes > 0 || this.#windowGivenBack) return;
    this.#windowGivenBack = true;
    this.#deps.outlet.giveBackWindow(this.#windowBytes);
  }

  #endProcess(): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#early = null;
    if (this.isTerminal) {
      void process.close();
      return;
    }
    process.signal(sigterm);
    const kill = setTimeout(() => {
      process.signal(sigkill);
      void process.close();
    }, killAfterMs);
    process.exited.catch(() => {}).finally(() => clearTimeout(kill));
  }
}

/** One stream's unfinished character, and when it has been held for long enough. */
class HeldOutput {
  readonly characters = new WholeCharacters();
  #timer: NodeJS.Timeout | undefined;

  /** Goes on when it runs already. */
  startTimer(onTime: () => void): void {
    this.#timer ??= setTimeout(onTime, heldMsMax);
  }

  stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

export function xgenTerminalSize({
  cols,
  rows,
}: {
  readonly cols: number;
  readonly rows: number;
}): TerminalSize {
  return {
    cols: Math.min(cols || terminalDefault.cols, terminalSideMax),
    rows: Math.min(rows || terminalDefault.rows, terminalSideMax),
  };
}

function refusalOf(error: unknown): { readonly code: XgenErrorCode; readonly message: string } {
  if (!(error instanceof ResponderError))
    return { code: 'exec_failed', message: 'the process could not be started' };
  const code = error.code === 'invalid_payload' ? 'invalid_payload' : 'exec_failed';
  return { code, message: error.message };
}

const terminalDefault: TerminalSize = { cols: 80, rows: 24 };
/** What the guest takes. */
const terminalSideMax = 10_000;
/** A client draws a frame as it comes; half a character more than this late is better shown as it is. */
const heldMsMax = 50;
const killAfterMs = 5_000;
