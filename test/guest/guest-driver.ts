import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { type ErrorMessage, encodeCredit, parseCredit, parseError } from '../../protocol/control-messages.ts';
import {
  type ExecAttach,
  type ExecExit,
  type ExecStart,
  encodeExecAttach,
  encodeExecResize,
  encodeExecSignal,
  encodeExecStart,
  parseExecExit,
  parseExecStarted,
} from '../../protocol/exec-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { LinkDecoder } from '../../protocol/link-decoder.ts';
import { linkOverheadBytes, writeLinkFrame } from '../../protocol/link-framing.ts';
import { brokenRule, messageName, messageTypes } from '../../protocol/message-types.ts';
import { encodeHello, parseWelcome, type Welcome } from '../../protocol/session-messages.ts';
import { parsed } from '../support/parsed.ts';
import { within } from '../support/within.ts';
import { guestFor } from './guest-for.ts';

/**
 * Drives the real agent as an ordinary process over two pipes, frame by frame: what the node's own link would hide (frames
 * cut in half, credit overdrawn, a second Hello) is what these tests need to do.
 *
 * It checks every frame it sees against the protocol: who may send it, the credit it was given, nothing after an exit.
 * What it finds wrong is in `violations`, and disposing of the driver fails when there is any.
 */
export interface DriverOptions {
  readonly binary?: string;
  readonly args?: readonly string[];
  readonly uid?: number;
  readonly gid?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Output credit of each process. */
  readonly window?: number;
}

export interface StartOptions extends Partial<Omit<ExecStart, 'argv'>> {
  /** False: the test gives output credit itself. */
  readonly givesCredit?: boolean;
}

/** Long enough for a machine under load; only a hang gets here. */
const patienceMs = 60_000;
export const defaultWindow = 262_144;
export const defaultEnv = { PATH: '/usr/local/bin:/usr/bin:/bin' };
export const firstNonce = new Uint8Array(16).fill(1);

export class GuestDriver implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly violations: string[] = [];
  /** Frames of the control channel and of channels without an execution, not taken yet. */
  readonly #loose: Frame[] = [];
  readonly #executions = new Map<number, Execution>();
  readonly #decoder = new LinkDecoder();
  readonly #window: number;
  #wakeUps: (() => void)[] = [];
  #nextChannel = 1;
  #nextQuestion = 100_000;
  #exitCode: number | null | undefined;
  /** What a sanitizer says of the agent, for the message of a test that fails. */
  #stderr = '';

  /** Starts the agent and opens the link. */
  static async start(options: DriverOptions = {}): Promise<GuestDriver> {
    const driver = new GuestDriver(options);
    await driver.hello();
    return driver;
  }

  constructor(options: DriverOptions = {}) {
    this.#window = options.window ?? defaultWindow;
    this.process = spawn(options.binary ?? guestFor(options.uid), [...(options.args ?? [])], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...options.env },
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid ?? options.uid }),
    });
    this.output.on('data', (chunk: Buffer) => this.#read(chunk));
    this.input.on('error', () => undefined);
    this.process.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(0, 4_000);
    });
    this.process.on('exit', (code) => {
      this.#exitCode = code;
      this.#wake();
    });
  }

  get pid(): number {
    assert.ok(this.process.pid !== undefined, 'the agent started');
    return this.process.pid;
  }

  get input(): Writable {
    assert.ok(this.process.stdin !== null);
    return this.process.stdin;
  }

  get output(): Readable {
    assert.ok(this.process.stdout !== null);
    return this.process.stdout;
  }

  async hello(nonce = firstNonce): Promise<Welcome> {
    for (const execution of this.#executions.values()) execution.forgotten = true;
    this.send('Hello', 0, encodeHello({ nonce, window: this.#window }), 1);
    const isOurs = ({ type, payload }: Frame) =>
      type === messageTypes.Welcome.code && Buffer.from(payload).includes(Buffer.from(nonce));
    const welcome = parsed(parseWelcome((await this.next(isOurs)).payload));
    this.#executions.clear();
    return welcome;
  }

  send(
    name: keyof typeof messageTypes,
    channel: number,
    payload: Uint8Array = new Uint8Array(0),
    id = 0,
  ): void {
    this.sendBytes(linkFrame(messageTypes[name].code, channel, id, payload));
  }

  sendBytes(bytes: Uint8Array): void {
    this.input.write(bytes);
  }

  /** Starts a process on a channel of its own and does not wait. */
  begin(argv: readonly string[], options: StartOptions = {}, channel = this.#nextChannel++): Execution {
    const { givesCredit = true, ...choices } = options;
    const payload = parsed(
      encodeExecStart({
        argv,
        env: defaultEnv,
        cwd: '/',
        user: '',
        stdin: options.tty !== undefined,
        ...choices,
      }),
    );
    const execution = new Execution(this, channel, choices.window ?? this.#window, givesCredit);
    this.#executions.set(channel, execution);
    this.send('ExecStart', channel, payload, channel);
    return execution;
  }

  /** Attaches to a process on a channel of its own and does not wait. */
  attach(request: ExecAttach, options: { givesCredit?: boolean } = {}): Execution {
    return this.open('ExecAttach', encodeExecAttach(request), { ...options, ...request });
  }

  /** Opens a channel of any kind. */
  open(
    name: keyof typeof messageTypes,
    payload: Uint8Array,
    options: { givesCredit?: boolean; window?: number } = {},
  ): Execution {
    const channel = this.#nextChannel++;
    const { givesCredit = true, window = this.#window } = options;
    const execution = new Execution(this, channel, window, givesCredit);
    this.#executions.set(channel, execution);
    this.send(name, channel, payload, channel);
    return execution;
  }

  /** The Ack of a question on channel 0. */
  async ask(name: keyof typeof messageTypes): Promise<Uint8Array> {
    const id = this.#nextQuestion++;
    this.send(name, 0, Uint8Array.of(0x80), id);
    const answer = await this.next((frame) => frame.id === id);
    assert.equal(messageName(answer.type), 'Ack', Buffer.from(answer.payload).toString('latin1'));
    return answer.payload;
  }

  /** Starts a process and waits for its end. */
  async run(argv: readonly string[], options: StartOptions = {}): Promise<Execution> {
    const execution = this.begin(argv, options);
    await execution.exited();
    return execution;
  }

  /** The error code that starting this is answered with. */
  async refusal(argv: readonly string[], options: StartOptions = {}): Promise<string> {
    const { code } = await this.begin(argv, options).refused();
    return code;
  }

  /** The next frame that belongs to no execution and fits. */
  async next(fits: (frame: Frame) => boolean = () => true): Promise<Frame> {
    const find = () => this.#loose.findIndex(fits);
    await this.until(() => find() >= 0, 'a frame');
    const [frame] = this.#loose.splice(find(), 1);
    assert.ok(frame !== undefined);
    return frame;
  }

  async nextError(): Promise<ErrorMessage> {
    const frame = await this.next((candidate) => candidate.type === messageTypes.Error.code);
    return parsed(parseError(frame.payload));
  }

  /** A round trip: everything sent before has been handled, and everything answered before has arrived. */
  async roundTrip(): Promise<void> {
    const token = Buffer.from(`${Math.random()}`);
    this.send('Ping', 0, token, 99);
    await this.next((frame) => frame.type === messageTypes.Pong.code && token.equals(frame.payload));
  }

  /** Waits for frames, or for the agent's end, until this holds. */
  async until(holds: () => boolean, what: string): Promise<void> {
    const deadlineMs = Date.now() + patienceMs;
    while (!holds()) {
      if (this.#exitCode !== undefined)
        throw new Error(`the agent ended while waiting for ${this.#seen(what)}`);
      const leftMs = deadlineMs - Date.now();
      if (leftMs <= 0) throw new Error(`waited too long for ${this.#seen(what)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wakeUps.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** The agent's own exit code. */
  async ended(): Promise<number | null> {
    if (this.#exitCode === undefined) {
      await within(once(this.process, 'exit'), () => this.#seen('the end of the agent'), patienceMs);
    }
    return this.#exitCode ?? null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#exitCode === undefined) {
      this.input.end();
      this.process.kill('SIGTERM');
      try {
        await this.ended();
      } finally {
        this.process.kill('SIGKILL');
      }
    }
    assert.deepEqual(this.violations, []);
  }

  /** What a wait was for, with all that there was instead. */
  #seen(what: string): string {
    const channels = [...this.#executions.values()].slice(-5).map((execution) => execution.describe());
    const loose = this.#loose.slice(-5).map((frame) => `${messageName(frame.type)} on ${frame.channel}`);
    const seen = [...channels, ...loose, ...this.violations, this.#stderr].filter((line) => line !== '');
    return `${what}; there was: ${seen.join('; ') || 'nothing'}`;
  }

  #read(chunk: Buffer): void {
    this.#decoder.push(chunk, (frame) => this.#take({ ...frame, payload: Uint8Array.from(frame.payload) }));
    if (this.#decoder.end !== null) this.violations.push(this.#decoder.end);
    this.#wake();
  }

  #take(frame: Frame): void {
    const broken = brokenRule(frame, 'responder', 'link');
    if (broken !== undefined) this.violations.push(broken);
    const execution = this.#executions.get(frame.channel);
    if (execution === undefined || frame.channel === 0) this.#loose.push(frame);
    else if (!execution.forgotten) execution.take(frame);
  }

  #wake(): void {
    const wakeUps = this.#wakeUps;
    this.#wakeUps = [];
    for (const wake of wakeUps) wake();
  }
}

/** One channel, from ExecStart to ExecExit. */
export class Execution {
  readonly channel: number;
  /** Ignores what the old epoch still had on its way. */
  forgotten = false;
  /** The Ack, once it came. */
  acknowledgement: Uint8Array | undefined;
  end: Uint8Array | undefined;
  outputEnded = false;
  exit: ExecExit | undefined;
  /** The guest has answered ChannelClose. */
  closed = false;
  readonly errors: ErrorMessage[] = [];
  /** Bytes of stdin the agent has granted in addition to its window. */
  stdinGranted = 0;
  outputBytes = 0;
  frameBytesMax = 0;
  readonly #driver: GuestDriver;
  readonly #window: number;
  #givesCredit: boolean;
  /** The output in the order in which it came. */
  readonly pieces: { readonly isError: boolean; readonly bytes: Uint8Array }[] = [];
  #creditLeft: number;

  constructor(driver: GuestDriver, channel: number, window: number, givesCredit: boolean) {
    this.#driver = driver;
    this.channel = channel;
    this.#window = window;
    this.#creditLeft = window;
    this.#givesCredit = givesCredit;
  }

  get pid(): number | undefined {
    return this.acknowledgement === undefined
      ? undefined
      : parsed(parseExecStarted(this.acknowledgement)).pid;
  }

  /** The number by which it can be attached to. */
  get process(): number {
    assert.ok(this.acknowledgement !== undefined);
    return parsed(parseExecStarted(this.acknowledgement)).process;
  }

  get #isOver(): boolean {
    return this.exit !== undefined || this.end !== undefined || this.closed;
  }

  get stdout(): Buffer {
    return this.#outputOf(false);
  }

  get stderr(): Buffer {
    return this.#outputOf(true);
  }

  /** For the message of a test that waited in vain. */
  describe(): string {
    const state = this.#isOver ? 'over' : this.acknowledgement === undefined ? 'unanswered' : 'open';
    const errors = this.errors.map(({ code }) => code).join();
    const tail = JSON.stringify(this.#outputOf(false).toString('latin1').slice(-200));
    return `channel ${this.channel} is ${state}, ${this.outputBytes} bytes, ending ${tail} ${errors}`.trim();
  }

  #outputOf(isError: boolean): Buffer {
    return Buffer.concat(this.pieces.filter((piece) => piece.isError === isError).map(({ bytes }) => bytes));
  }

  /** Resolves once the channel is open; rejects when it was refused. */
  async opened(): Promise<void> {
    const settled = () => this.acknowledgement !== undefined || this.errors.length > 0;
    await this.#driver.until(settled, 'Ack');
    assert.ok(this.acknowledgement !== undefined, `refused: ${JSON.stringify(this.errors[0])}`);
  }

  /** Resolves with the pid; rejects when the start was refused. */
  async started(): Promise<number> {
    await this.opened();
    assert.ok(this.pid !== undefined);
    return this.pid;
  }

  async refused(): Promise<ErrorMessage> {
    await this.#driver.until(() => this.errors.length > 0 || this.exit !== undefined, 'an Error');
    const [error] = this.errors;
    assert.ok(error !== undefined, 'the start was not refused');
    return error;
  }

  async exited(): Promise<ExecExit> {
    await this.started();
    await this.#driver.until(() => this.exit !== undefined, 'ExecExit');
    assert.ok(this.exit !== undefined);
    return this.exit;
  }

  /** Waits until stdout holds this text. */
  async says(text: string): Promise<void> {
    await this.#driver.until(() => this.stdout.includes(text), `"${text}" on stdout`);
  }

  writeStdin(bytes: Uint8Array | string): void {
    const payload = Buffer.from(bytes);
    for (let offset = 0; offset < payload.length; offset += 65_536) {
      this.#driver.send('Input', this.channel, payload.subarray(offset, offset + 65_536), 7);
    }
  }

  endStdin(): void {
    this.#driver.send('InputEof', this.channel);
  }

  resize(cols: number, rows: number): void {
    this.#driver.send('ExecResize', this.channel, encodeExecResize({ cols, rows }));
  }

  /** Abandons the channel, and waits for the answer. */
  async close(): Promise<void> {
    this.#driver.send('ChannelClose', this.channel);
    await this.#driver.until(() => this.#isOver, 'ChannelClose');
  }

  signal(number: number): void {
    this.#driver.send('ExecSignal', this.channel, encodeExecSignal(number));
  }

  /** From now on every byte is granted again, and a first window at once. */
  takeAll(): void {
    this.#givesCredit = true;
    this.grant(this.#window);
  }

  grant(bytes: number): void {
    this.#creditLeft += bytes;
    this.#driver.send('Credit', this.channel, encodeCredit(bytes));
  }

  take(frame: Frame): void {
    if (this.#isOver) {
      this.#driver.violations.push(`${messageName(frame.type)} after the end of the channel`);
    }
    switch (frame.type) {
      case messageTypes.Ack.code:
        this.acknowledgement = frame.payload;
        return;
      case messageTypes.End.code:
        this.end = frame.payload;
        return;
      case messageTypes.OutputEof.code:
        this.outputEnded = true;
        return;
      case messageTypes.ChannelClose.code:
        this.closed = true;
        return;
      case messageTypes.Error.code:
        this.errors.push(parsed(parseError(frame.payload)));
        return;
      case messageTypes.Credit.code:
        this.stdinGranted += parsed(parseCredit(frame.payload));
        return;
      case messageTypes.ExecExit.code:
        this.exit = parsed(parseExecExit(frame.payload));
        return;
      default:
        this.#takeOutput(frame);
    }
  }

  #takeOutput(frame: Frame): void {
    const bytes = frame.payload.length;
    this.#creditLeft -= bytes;
    if (this.#creditLeft < 0) this.#driver.violations.push('output beyond its credit');
    if (bytes === 0) this.#driver.violations.push('an empty output frame');
    if (this.acknowledgement === undefined) this.#driver.violations.push('output before Ack');
    if (this.outputEnded) this.#driver.violations.push('output after OutputEof');
    this.outputBytes += bytes;
    this.frameBytesMax = Math.max(this.frameBytesMax, bytes);
    this.pieces.push({ isError: frame.type === messageTypes.ErrorOutput.code, bytes: frame.payload });
    if (this.#givesCredit) this.grant(bytes);
  }
}

export function linkFrame(type: number, channel: number, id: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(linkOverheadBytes + payload.length);
  writeLinkFrame(bytes, new DataView(bytes.buffer), 0, { type, channel, id, payload });
  return bytes;
}
