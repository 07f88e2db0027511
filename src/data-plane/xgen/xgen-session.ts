import { closeCodes } from '../../../protocol/close-codes.ts';
import { type Frame, headerBytes, noPayload, parseFrame } from '../../../protocol/frame.ts';
import { encodeXgenError, parseXgenFsWatch, xgenTypes } from '../../../protocol/xgen-messages.ts';
import type { SandboxSession } from '../../allocator/api.ts';
import type { Log } from '../../observability/log.ts';
import { XgenFiles } from './xgen-files.ts';
import type { XgenObserver } from './xgen-observer.ts';
import { XgenOutlet } from './xgen-outlet.ts';
import { XgenPorts } from './xgen-ports.ts';
import type { XgenProcessIds } from './xgen-process-ids.ts';
import { XgenProcesses } from './xgen-processes.ts';
import { hexByte, refusal, type XgenRefusal, XgenReplies } from './xgen-replies.ts';
import type { XgenSocket } from './xgen-socket.ts';
import { XgenWatches } from './xgen-watch.ts';
import { makeWorkspace } from './xgen-workspace.ts';

export interface XgenSessionDeps {
  readonly socket: XgenSocket;
  /** Closed by this session, once nothing of it runs any more. */
  readonly sandbox: SandboxSession;
  readonly processIds: XgenProcessIds;
  readonly xgenObserver: Pick<XgenObserver, 'errorDropped'>;
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
 */
export class XgenSession {
  /** Settles, never rejects, when the connection is closed and nothing that it started is left. */
  readonly settled: Promise<void>;
  readonly #deps: XgenSessionDeps;
  readonly #options: XgenSessionOptions;
  readonly #outlet: XgenOutlet;
  readonly #gone = new AbortController();
  readonly #files: XgenFiles;
  readonly #watches: XgenWatches;
  readonly #ports: XgenPorts;
  readonly #replies: XgenReplies;
  readonly #processes: XgenProcesses;
  readonly #holds = { input: false, replies: false };
  #paused = false;
  #waitingInputBytes = 0;
  #isClosing = false;
  #isDraining = false;
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
    const replies = new XgenReplies(outlet, log, deps.xgenObserver);
    this.#replies = replies;
    this.#processes = new XgenProcesses({
      sandbox,
      outlet,
      workspace,
      processIds: deps.processIds,
      log,
      replies,
      inputWaits: (bytes) => this.#inputWaits(bytes),
      used: () => this.#used(),
      onEmpty: () => {
        this.#closeWhenIdle();
        this.#settleWhenEmpty();
      },
    });
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
    if (refused) this.#replies.refuse(frame.value, refused);
  }

  onText(): void {
    this.close(closeCodes.textMessage, 'text messages are not understood');
  }

  /** Nothing new is begun; the connection is closed once nothing that it started runs. */
  drain(): void {
    this.#isDraining = true;
    this.#closeWhenIdle();
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
  #onFrame(frame: Frame): XgenRefusal | undefined {
    switch (frame.type) {
      case xgenTypes.Ping:
        this.#outlet.send({ ...frame, type: xgenTypes.Pong, payload: noPayload });
        return undefined;
      case xgenTypes.Pong:
        return undefined;
      case xgenTypes.ExecStart:
      case xgenTypes.ExecStdin:
      case xgenTypes.ExecSignal:
      case xgenTypes.ExecResize:
      case xgenTypes.ChannelClose:
        return this.#processes.onFrame(frame);
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

  #onFileRequest(frame: Frame): XgenRefusal | undefined {
    if (!this.#options.mayUseFiles) return refusal('forbidden', 'forbidden');
    if (frame.type !== xgenTypes.FsList) this.#used();
    // What waits for its turn is held in memory, as input is.
    this.#inputWaits(frame.payload.length);
    void this.#files.handle(frame.type, frame.payload).then((answer) => {
      this.#inputWaits(-frame.payload.length);
      if (answer.kind === 'failed') this.#replies.refuse(frame, answer);
      else if (answer.kind === 'done') this.#acknowledge(frame);
      else this.#outlet.send({ ...frame, payload: answer.payload });
    });
    return undefined;
  }

  #onWatch(frame: Frame): XgenRefusal | undefined {
    const parsed = parseXgenFsWatch(frame.payload);
    if ('error' in parsed) return refusal('invalid_payload', parsed.error);
    if (!this.#options.mayUseFiles) return refusal('forbidden', 'forbidden');
    const { path, unwatch } = parsed.value;
    if (unwatch) this.#watches.unwatch(path);
    const failure = unwatch ? Promise.resolve(undefined) : this.#watches.watch(path);
    void failure.then((message) => {
      if (message === undefined) this.#acknowledge(frame);
      else this.#replies.refuse(frame, { code: 'watch_error', message });
    });
    return undefined;
  }

  #acknowledge(frame: Frame): void {
    this.#replies.acknowledge(frame, this.#processes.onChannel(frame.channel));
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
    this.#processes.abandonAll();
    this.#settleWhenEmpty();
  }

  #closeWhenIdle(): void {
    if (this.#isDraining && this.#processes.size === 0) this.close(closeCodes.goingAway, 'the service stops');
  }

  #settleWhenEmpty(): void {
    if (!this.#isClosing || this.#processes.size > 0) return;
    this.#deps.sandbox.close();
    this.#settle();
  }
}

/** Of a connection, input and file requests together. */
const waitingInputBytesMax = 8 * 1_048_576;
