import { closeCodes } from '../../../protocol/close-codes.ts';
import { type Frame, headerBytes, noPayload, parseFrame } from '../../../protocol/frame.ts';
import {
  encodeXgenAck,
  encodeXgenError,
  parseXgenExecResize,
  parseXgenExecSignal,
  parseXgenExecStart,
  parseXgenFsWatch,
  splitXgenStdin,
  type XgenErrorCode,
  xgenTypes,
} from '../../../protocol/xgen-messages.ts';
import type { SandboxSession } from '../../allocator/api.ts';
import type { Log } from '../../observability/log.ts';
import type { Process } from '../../operations/process.ts';
import { XgenExec, xgenTerminalSize } from './xgen-exec.ts';
import { XgenFiles } from './xgen-files.ts';
import { XgenOutlet } from './xgen-outlet.ts';
import { XgenPorts } from './xgen-ports.ts';
import type { XgenProcessIds } from './xgen-process-ids.ts';
import { xgenSignals } from './xgen-signals.ts';
import type { XgenSocket } from './xgen-socket.ts';
import { XgenWatches } from './xgen-watch.ts';
import { makeWorkspace } from './xgen-workspace.ts';

export interface XgenSessionDeps {
  readonly socket: XgenSocket;
  /** Closed by this session, once nothing of it runs any more. */
  readonly sandbox: SandboxSession;
  readonly processIds: XgenProcessIds;
  readonly log: Log;
}

export interface XgenSessionOptions {
  /** Whether the credential has the scope for files. */
  readonly mayUseFiles: boolean;
  /** Whether what the client does extends the lease of the sandbox. */
  readonly useExtendsLease: boolean;
}

/**
 * One connection of a published xgen client (protocol/README.md section 10): its processes, file requests, watches and port
 * notices, none of which any other connection sees.
 *
 *   open ──client closes, sandbox ends, drain──▶ closing ──last process gone──▶ settled
 *
 * Clients look at an id before they look at a type, and some fail all their processes on an Error that they cannot place.
 * So what answers nothing has id 0, an Error repeats channel and id of its request, and a frame on channel 0 with id 0 is
 * never answered with one.
 */
export class XgenSession {
  /** Settles, never rejects, when the connection is closed and nothing that it started is left. */
  readonly settled: Promise<void>;
  readonly #deps: XgenSessionDeps;
  readonly #options: XgenSessionOptions;
  readonly #outlet: XgenOutlet;
  readonly #gone = new AbortController();
  readonly #workspace: Promise<void>;
  readonly #files: XgenFiles;
  readonly #watches: XgenWatches;
  readonly #ports: XgenPorts;
  /** By channel: those whose ExecExit has not been sent. */
  readonly #execs = new Map<number, XgenExec>();
  readonly #holds = { input: false, replies: false };
  #paused = false;
  #waitingInputBytes = 0;
  #isClosing = false;
  #settle = (): void => {};

  /** The connection is open: SandboxReady is sent before this returns, and messages may come from then on. */
  constructor(deps: XgenSessionDeps, options: XgenSessionOptions) {
    this.#deps = deps;
    this.#options = options;
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const { socket, sandbox, log } = deps;
    const { guest } = sandbox;
    const outlet = new XgenOutlet(socket, (full) => this.#hold('replies', full));
    this.#outlet = outlet;
    outlet.send({ type: xgenTypes.SandboxReady });
    const workspace = makeWorkspace(guest).catch((error: unknown) => {
      // Whoever needs it is told by the guest; others may go on without it.
      if (!this.#isClosing) log.warn({ err: error }, 'xgen: the workspace could not be made');
    });
    this.#workspace = workspace;
    this.#files = new XgenFiles({ guest, outlet, workspace, gone: this.#gone.signal });
    this.#watches = new XgenWatches({ guest, outlet, workspace, log });
    this.#ports = new XgenPorts({ guest, outlet, log });
    this.#ports.start();
    sandbox.watch({ onLease: () => {}, onEnd: ({ failed }) => this.#onSandboxEnd(failed) });
  }

  /** One binary message. */
  onMessage(message: Uint8Array): void {
    if (this.#isClosing || message.length < headerBytes) return;
    const frame = parseFrame(message);
    if ('error' in frame) return;
    const refused = this.#onFrame(frame.value);
    if (refused) this.#refuse(frame.value, refused);
  }

  onText(): void {
    this.close(closeCodes.textMessage, 'text messages are not understood');
  }

  /** The connection is gone, whoever closed it. */
  onClose(): void {
    this.#end();
  }

  close(code: number, reason: string): void {
    if (this.#isClosing) return;
    this.#deps.socket.close(code, reason);
    this.#end();
  }

  /** Undefined: it is being answered, or needs no answer. */
  #onFrame(frame: Frame): Refusal | undefined {
    switch (frame.type) {
      case xgenTypes.Ping:
        this.#outlet.send({ ...frame, type: xgenTypes.Pong, payload: noPayload });
        return undefined;
      case xgenTypes.Pong:
        return undefined;
      case xgenTypes.ExecStart:
        return this.#onExecStart(frame);
      case xgenTypes.ExecStdin:
        return this.#onStdin(frame);
      case xgenTypes.ExecSignal:
        return this.#onSignal(frame);
      case xgenTypes.ExecResize:
        return this.#onResize(frame);
      case xgenTypes.ChannelClose:
        return this.#onChannelClose(frame);
      case xgenTypes.FsRead:
      case xgenTypes.FsWrite:
      case xgenTypes.FsList:
      case xgenTypes.FsRemove:
        return this.#onFileRequest(frame);
      case xgenTypes.FsWatch:
        return this.#onWatch(frame);
      default:
        return refusal('unknown_message', `unknown message type: ${hexByte(frame.type)}`);
    }
  }

  #onExecStart(frame: Frame): Refusal | undefined {
    const start = parseXgenExecStart(frame.payload);
    if ('error' in start) return refusal('invalid_payload', start.error);
    if (start.value.command === '') return refusal('invalid_payload', 'command: empty');
    const channel = frame.channel === 0 ? this.#freeChannel() : frame.channel;
    if (this.#execs.has(channel)) return refusal('channel_in_use', `channel ${channel} is in use`);
    this.#used();
    const { sandbox, processIds, log } = this.#deps;
    const exec = new XgenExec(
      {
        sandbox,
        outlet: this.#outlet,
        workspace: this.#workspace,
        processIds,
        inputWaits: (bytes) => this.#inputWaits(bytes),
        log,
      },
      { start: start.value, channel, askedChannel: frame.channel, id: frame.id },
    );
    this.#execs.set(channel, exec);
    void exec.ended.then(() => {
      this.#execs.delete(channel);
      this.#settleWhenEmpty();
    });
    return undefined;
  }

  #freeChannel(): number {
    for (let channel = chosenChannelMin; ; channel++) if (!this.#execs.has(channel)) return channel;
  }

  #onStdin(frame: Frame): Refusal | undefined {
    const { processId, bytes } = splitXgenStdin(frame.payload, (id) => this.#process(id) !== undefined);
    const exec = this.#execOf(frame, processId);
    if (exec === undefined) return noProcess(frame);
    this.#used();
    exec.input(bytes, (done) => this.#answerIfAsked(frame, exec, done));
    return undefined;
  }

  #onChannelClose(frame: Frame): Refusal | undefined {
    const exec = this.#execOf(frame, 0);
    if (exec === undefined) return noProcess(frame);
    // The end-of-file character ends what reads the terminal now; whatever reads it next still wants its input.
    if (exec.isTerminal) exec.input(endOfFileCharacter, (done) => this.#answerIfAsked(frame, exec, done));
    else this.#ask(frame, exec, (process) => process.endInput());
    return undefined;
  }

  #onSignal(frame: Frame): Refusal | undefined {
    const parsed = parseXgenExecSignal(frame.payload);
    if ('error' in parsed) return refusal('invalid_payload', parsed.error);
    const signal = xgenSignals.get(parsed.value.signal);
    if (signal === undefined) return refusal('invalid_payload', 'signal: not one of the known names');
    const exec = this.#execOf(frame, parsed.value.processId);
    if (exec === undefined) return noProcess(frame);
    this.#ask(frame, exec, (process) => process.signal(signal));
    return undefined;
  }

  #onResize(frame: Frame): Refusal | undefined {
    const parsed = parseXgenExecResize(frame.payload);
    if ('error' in parsed) return refusal('invalid_payload', parsed.error);
    const exec = this.#execOf(frame, parsed.value.processId);
    if (exec === undefined) return noProcess(frame);
    const size = xgenTerminalSize(parsed.value);
    this.#ask(frame, exec, (process) => {
      if (exec.isTerminal) process.resize(size);
    });
    return undefined;
  }

  #onFileRequest(frame: Frame): Refusal | undefined {
    if (!this.#options.mayUseFiles) return refusal('forbidden', 'forbidden');
    if (frame.type !== xgenTypes.FsList) this.#used();
    // What waits for its turn is held in memory, as input is.
    this.#inputWaits(frame.payload.length);
    void this.#files.handle(frame.type, frame.payload).then((answer) => {
      this.#inputWaits(-frame.payload.length);
      if (answer.kind === 'failed') this.#refuse(frame, answer);
      else if (answer.kind === 'done') this.#acknowledge(frame);
      else this.#outlet.send({ ...frame, payload: answer.payload });
    });
    return undefined;
  }

  #onWatch(frame: Frame): Refusal | undefined {
    const parsed = parseXgenFsWatch(frame.payload);
    if ('error' in parsed) return refusal('invalid_payload', parsed.error);
    if (!this.#options.mayUseFiles) return refusal('forbidden', 'forbidden');
    const { path, unwatch } = parsed.value;
    if (unwatch) this.#watches.unwatch(path);
    const failure = unwatch ? Promise.resolve(undefined) : this.#watches.watch(path);
    void failure.then((message) => {
      if (message === undefined) this.#acknowledge(frame);
      else this.#refuse(frame, { code: 'watch_error', message });
    });
    return undefined;
  }

  #ask(frame: Frame, exec: XgenExec, act: (process: Process) => void): void {
    exec.do({ act, answer: (done) => this.#answerIfAsked(frame, exec, done) });
  }

  /** The process that a frame means: by its id, or the one of the frame's channel. */
  #execOf(frame: Frame, processId: number): XgenExec | undefined {
    return processId === 0 ? this.#execs.get(frame.channel) : this.#process(processId);
  }

  #process(processId: number): XgenExec | undefined {
    for (const exec of this.#execs.values()) if (exec.processId === processId) return exec;
    return undefined;
  }

  /** What comes for a process is answered only to whoever gave it an id. */
  #answerIfAsked(frame: Frame, exec: XgenExec, done: boolean): void {
    if (frame.id === 0) return;
    if (done) this.#acknowledge(frame, exec);
    else this.#refuse(frame, noProcess(frame));
  }

  /** Terminals decode every Ack on their channel, so that one is never empty there. */
  #acknowledge({ channel, id }: Frame, exec = this.#execs.get(channel)): void {
    const processId = exec?.processId;
    const payload =
      exec === undefined || processId === undefined ? noPayload : encodeXgenAck(processId, exec.channel);
    this.#outlet.send({ type: xgenTypes.Ack, channel, id, payload });
  }

  #refuse({ type, channel, id }: Frame, { code, message }: Refusal): void {
    if (id === 0 && (channel === 0 || typesWithoutAnswer.has(type))) {
      this.#deps.log.debug({ type: hexByte(type), code, reason: message }, 'xgen: a frame was refused');
      return;
    }
    this.#outlet.send({ type: xgenTypes.Error, channel, id, payload: encodeXgenError(code, message) });
  }

  #used(): void {
    if (this.#options.useExtendsLease) this.#deps.sandbox.used();
  }

  #inputWaits(bytes: number): void {
    this.#waitingInputBytes += bytes;
    this.#hold('input', this.#waitingInputBytes > waitingInputBytesMax);
  }

  /** The client is not read while it has sent more than is taken, or asked for more than it takes. */
  #hold(why: 'input' | 'replies', on: boolean): void {
    this.#holds[why] = on;
    const paused = this.#holds.input || this.#holds.replies;
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#deps.socket.pause();
    else this.#deps.socket.resume();
  }

  #onSandboxEnd(failed: boolean): void {
    if (this.#isClosing) return;
    if (failed) {
      const payload = encodeXgenError('sandbox_failed', 'runtime exited');
      this.#outlet.send({ type: xgenTypes.SandboxError, payload });
      this.close(closeCodes.failed, 'the sandbox failed');
    } else this.close(closeCodes.goingAway, 'the sandbox has ended');
  }

  #end(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#outlet.close();
    this.#gone.abort(new Error('the connection was closed'));
    this.#watches.close();
    this.#ports.close();
    for (const exec of this.#execs.values()) exec.abandon();
    this.#settleWhenEmpty();
  }

  #settleWhenEmpty(): void {
    if (!this.#isClosing || this.#execs.size > 0) return;
    this.#deps.sandbox.close();
    this.#settle();
  }
}

interface Refusal {
  readonly code: XgenErrorCode;
  readonly message: string;
}

function refusal(code: XgenErrorCode, message: string): Refusal {
  return { code, message };
}

function noProcess({ channel }: Frame): Refusal {
  return refusal('exec_failed', `no process on channel ${channel}`);
}

function hexByte(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}

/** With id 0 they are never answered: they are sent by the thousand, and an Error would end the client's process. */
const typesWithoutAnswer: ReadonlySet<number> = new Set([
  xgenTypes.ExecStdin,
  xgenTypes.ExecSignal,
  xgenTypes.ExecResize,
  xgenTypes.ChannelClose,
]);
/** Below it are the channels that people choose by hand. */
const chosenChannelMin = 101;
/** Of a connection, input and file requests together. */
const waitingInputBytesMax = 8 * 1_048_576;
const endOfFileCharacter = Uint8Array.of(0x04);
