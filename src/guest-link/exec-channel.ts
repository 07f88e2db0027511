import { encodeCredit, parseCredit, parseError } from '../../protocol/control-messages.ts';
import { encodeExecSignal, parseExecExit, parseExecStarted } from '../../protocol/exec-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { messageName, messageTypes } from '../../protocol/message-types.ts';
import { assertThat, invalidRequest } from '../domain/errors.ts';
import { deferred } from './deferred.ts';
import { execError } from './exec-error.ts';
import type { GuestCommand, GuestProcess, OutputSink, ProcessExit } from './guest.ts';
import { LinkViolation, parsed } from './link-violation.ts';
import type { Outbox } from './outbox.ts';
import { StdinQueue } from './stdin-queue.ts';

/**
 * One process in the sandbox, as the node sees it. It owns the channel's state and both credit accounts.
 *
 *   starting ──Ack──▶ running ──ExecExit──▶ ended
 *       └──Error──▶ ended            any but ended ──link lost──▶ ended
 *
 * Invariants: exactly one answer to the start; output and stdin credit only while running; the guest never has more
 * output on the way than the window (`#outputCredit` ≥ 0, `#ungranted` + `#held` + `#outputCredit` = window); when
 * ended, every promise has settled and the link has forgotten the channel, so that a further frame is a violation.
 *
 * Turned down: a stream object per output. A sink with credits is one call per frame, and the receiver decides whether
 * bytes become a gRPC message, a ring buffer or nothing.
 */
export class ExecChannel implements GuestProcess {
  readonly #id: number;
  readonly #requestId: number;
  readonly #command: GuestCommand;
  readonly #output: OutputSink;
  readonly #outbox: Outbox;
  readonly #stdin: StdinQueue;
  readonly #windowBytes: number;
  #state: 'starting' | 'running' | 'ended' = 'starting';
  #pid = 0;
  /** What the guest may still send. */
  #outputCredit: number;
  /** Delivered and not released by the receiver. */
  #held = 0;
  /** Released, and not yet given back to the guest: small releases travel together. */
  #ungranted = 0;
  readonly #started = deferred<GuestProcess>();
  readonly #exited = deferred<ProcessExit>();

  constructor(
    deps: { outbox: Outbox; output: OutputSink },
    options: {
      channel: number;
      requestId: number;
      command: GuestCommand;
      outputWindow: number;
      stdinWindow: number;
    },
  ) {
    this.#outbox = deps.outbox;
    this.#output = deps.output;
    this.#id = options.channel;
    this.#requestId = options.requestId;
    this.#command = options.command;
    this.#windowBytes = options.outputWindow;
    this.#outputCredit = options.outputWindow;
    this.#stdin = new StdinQueue(options.channel, options.stdinWindow);
  }

  /** Settles with the Ack or the Error of the start. */
  get started(): Promise<GuestProcess> {
    return this.#started.promise;
  }

  /** Nothing more may come on this channel, and the link forgets it. */
  get ended(): boolean {
    return this.#state === 'ended';
  }

  get pid(): number {
    return this.#pid;
  }

  get exited(): Promise<ProcessExit> {
    return this.#exited.promise;
  }

  release(byteCount: number): void {
    if (this.#state === 'ended') return;
    assertThat(byteCount >= 0 && byteCount <= this.#held, 'only delivered bytes are released, and only once');
    this.#held -= byteCount;
    this.#ungranted += byteCount;
    if (this.#ungranted === 0 || this.#ungranted < this.#windowBytes / grantFraction) return;
    this.#send(messageTypes.Credit.code, encodeCredit(this.#ungranted));
    this.#outputCredit += this.#ungranted;
    this.#ungranted = 0;
  }

  async writeStdin(bytes: Uint8Array): Promise<void> {
    if (!this.#command.stdin || !this.#stdin.acceptsWrites) {
      throw invalidRequest([{ field: 'stdin', description: 'stdin of this command is not open' }]);
    }
    const written = this.#stdin.write(bytes);
    this.#outbox.offer(this.#stdin);
    return written;
  }

  endStdin(): void {
    if (!this.#command.stdin) return;
    this.#stdin.end();
    this.#outbox.offer(this.#stdin);
  }

  signal(signalNumber: number): void {
    if (this.#state === 'ended') return;
    assertThat(
      Number.isInteger(signalNumber) && signalNumber >= 1 && signalNumber <= 64,
      'a signal is a number from 1 to 64',
    );
    this.#send(messageTypes.ExecSignal.code, encodeExecSignal(signalNumber));
  }

  /** A frame from the guest on this channel, correct by the table of types. */
  receive(frame: Frame): void {
    const { Ack, Error: Refusal, Output, ErrorOutput, Credit, ExecExit } = messageTypes;
    if (this.#state === 'starting') {
      if (frame.type === Ack.code) this.#onAck(frame);
      else if (frame.type === Refusal.code) this.#onRefusal(frame);
      else throw new LinkViolation(`${messageName(frame.type)} before the start was answered`);
    } else {
      if (frame.type === Output.code) this.#onOutput('stdout', frame);
      else if (frame.type === ErrorOutput.code) this.#onOutput('stderr', frame);
      else if (frame.type === Credit.code) this.#onCredit(frame);
      else if (frame.type === ExecExit.code) this.#onExit(frame);
      else throw new LinkViolation(`${describeUnexpected(frame)} for a running process`);
    }
  }

  /** The link is gone: whatever is pending fails with `error`. */
  lose(error: Error): void {
    if (this.ended) return;
    this.#end(error);
    this.#started.reject(error);
    this.#exited.reject(error);
  }

  #onAck(frame: Frame): void {
    this.#checkAnswer(frame);
    this.#pid = parsed(frame, parseExecStarted(frame.payload)).pid;
    this.#state = 'running';
    this.#started.resolve(this);
  }

  #onRefusal(frame: Frame): void {
    this.#checkAnswer(frame);
    const error = execError(parsed(frame, parseError(frame.payload)), this.#command);
    this.#end(error);
    this.#started.reject(error);
    this.#exited.reject(error);
  }

  #checkAnswer(frame: Frame): void {
    if (frame.id === this.#requestId) return;
    throw new LinkViolation(`${messageName(frame.type)} answers request ${frame.id} of another channel`);
  }

  #onOutput(stream: 'stdout' | 'stderr', frame: Frame): void {
    const { length } = frame.payload;
    if (length > this.#outputCredit) {
      throw new LinkViolation(`${length} bytes of output with a credit of ${this.#outputCredit}`);
    }
    if (length === 0) return;
    this.#outputCredit -= length;
    this.#held += length;
    this.#output.onOutput(stream, toKeep(frame.payload));
  }

  #onCredit(frame: Frame): void {
    const bytes = parsed(frame, parseCredit(frame.payload));
    if (!this.#stdin.grant(bytes)) throw new LinkViolation(`${bytes} bytes of credit for stdin never sent`);
    this.#outbox.offer(this.#stdin);
  }

  #onExit(frame: Frame): void {
    const exit = parsed(frame, parseExecExit(frame.payload));
    this.#end();
    this.#exited.resolve(exit);
  }

  #end(error?: Error): void {
    this.#state = 'ended';
    this.#stdin.drop(error);
    this.#outbox.withdraw(this.#stdin);
  }

  #send(type: number, payload: Uint8Array): void {
    this.#outbox.send({ type, channel: this.#id, id: 0, payload });
  }
}

/** Credit goes back in quarters of the window: few frames, and the guest never runs dry before one is on its way. */
const grantFraction = 4;

function describeUnexpected(frame: Frame): string {
  if (frame.type !== messageTypes.Error.code) return messageName(frame.type);
  const error = parseError(frame.payload);
  return 'value' in error ? `Error ${error.value.code}` : 'an unreadable Error';
}

/**
 * Bytes the receiver may keep. A view would keep the whole chunk alive that it came in, so it is handed on only when it
 * is a good part of that; otherwise a thousand kept lines could hold a thousand chunks of 64 KiB.
 */
function toKeep(payload: Uint8Array): Buffer {
  if (payload.length * keptFractionMax < payload.buffer.byteLength) {
    return Buffer.from(new Uint8Array(payload).buffer);
  }
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}

const keptFractionMax = 4;
