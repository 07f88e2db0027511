import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { encodeCredit, parseCredit, parseError } from '../../protocol/control-messages.ts';
import * as answers from '../../protocol/file-answers.ts';
import * as requests from '../../protocol/file-requests.ts';
import type { Frame } from '../../protocol/frame.ts';
import { inputWindowBytes, payloadBytesMax } from '../../protocol/limits.ts';
import { LinkDecoder } from '../../protocol/link-decoder.ts';
import { brokenRule, messageName, messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { RecordReader } from '../../protocol/record-reader.ts';
import { encodeHello } from '../../protocol/session-messages.ts';
import { parsed } from '../support/parsed.ts';
import { within } from '../support/within.ts';
import { type DriverOptions, firstNonce, linkFrame } from './guest-driver.ts';
import { guestFor } from './guest-for.ts';

/**
 * File requests to the real agent over two pipes. Each is a `FileCall`: what it was answered with, what it gave, and what it
 * still takes. Frames that break the protocol are collected in `violations`, and disposing fails when there is any.
 */

const patienceMs = 60_000;
const windowBytes = 1_048_576;
const empty = new Uint8Array(0);

export class FileError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

export class FileGuest implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly violations: string[] = [];
  readonly #decoder = new LinkDecoder();
  readonly #calls = new Map<number, OpenCall>();
  #nextChannel = 1;
  #welcome: (() => void) | undefined;

  static async start(options: DriverOptions = {}): Promise<FileGuest> {
    const guest = new FileGuest(options);
    const welcome = new Promise<void>((resolve) => {
      guest.#welcome = resolve;
    });
    guest.send('Hello', 0, encodeHello({ nonce: firstNonce, window: windowBytes }), 1);
    const exit = once(guest.process, 'exit').then(([code]) => {
      throw new Error(`the agent ended with ${code} before its Welcome`);
    });
    exit.catch(() => undefined);
    await within(Promise.race([welcome, exit]), () => `Welcome; ${guest.violations.join('; ')}`, patienceMs);
    return guest;
  }

  constructor(options: DriverOptions) {
    this.process = spawn(options.binary ?? guestFor(options.uid), [...(options.args ?? [])], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...options.env },
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid ?? options.uid }),
    });
    this.process.stdin?.on('error', () => undefined);
    this.process.stdout?.on('data', (chunk: Buffer) => {
      this.#decoder.push(chunk, (frame) => this.#take(frame));
      if (this.#decoder.end !== null) this.violations.push(this.#decoder.end);
    });
    this.process.on('exit', () => {
      for (const call of this.#calls.values()) call.fail(new Error('the agent ended'));
    });
  }

  send(name: keyof typeof messageTypes, channel: number, payload: Uint8Array = empty, id = 0): void {
    this.process.stdin?.write(linkFrame(messageTypes[name].code, channel, id, payload));
  }

  /** Whether the pipe to the agent takes more right now. */
  get takesMore(): boolean {
    return this.process.stdin?.writableNeedDrain !== true;
  }

  async drained(): Promise<void> {
    const { stdin } = this.process;
    assert.ok(stdin !== null);
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = new AbortController();
    const { signal } = ended;
    // Who has ended takes nothing more, and its calls have failed.
    const either = [once(stdin, 'drain', { signal }), once(this.process, 'exit', { signal })];
    try {
      await within(Promise.race(either), () => 'the agent taking its input', patienceMs);
    } finally {
      ended.abort();
      await Promise.allSettled(either);
    }
  }

  read(request: requests.FileRead, options?: CallOptions): FileCall<answers.TransferEnd> {
    return this.open('FileRead', requests.encodeFileRead(request), answers.parseTransferEnd, options);
  }

  write(request: requests.FileWrite): FileCall<answers.TransferEnd> {
    return this.open('FileWrite', requests.encodeFileWrite(request), answers.parseTransferEnd);
  }

  tarRead(request: requests.TarRead, options?: CallOptions): FileCall<answers.ArchiveEnd> {
    return this.open('TarRead', requests.encodeTarRead(request), answers.parseArchiveEnd, options);
  }

  tarWrite(request: requests.TarWrite): FileCall<answers.ArchiveEnd> {
    return this.open('TarWrite', requests.encodeTarWrite(request), answers.parseArchiveEnd);
  }

  list(request: requests.FileList): FileCall<answers.ListEnd> {
    return this.open('FileList', requests.encodeFileList(request), answers.parseListEnd);
  }

  stat(request: requests.FileStat): FileCall<answers.FileEntry> {
    return this.open('FileStat', requests.encodeFileStat(request), answers.parseFileEntry);
  }

  mkdir(request: requests.FileMkdir): FileCall<boolean> {
    return this.open('FileMkdir', requests.encodeFileMkdir(request), answers.parseMkdirEnd);
  }

  rename(request: requests.FileRename): FileCall<Uint8Array> {
    return this.open('FileRename', requests.encodeFileRename(request), (payload) => ({ value: payload }));
  }

  remove(request: requests.FileRemove): FileCall<number> {
    return this.open('FileRemove', requests.encodeFileRemove(request), answers.parseRemoveEnd);
  }

  change(request: requests.FileChange): FileCall<answers.FileEntry> {
    return this.open('FileChange', requests.encodeFileChange(request), answers.parseFileEntry);
  }

  watch(request: requests.FileWatch, options?: CallOptions): FileCall<never> {
    const noEnd = () => ({ error: 'a watch has no End' });
    return this.open('FileWatch', requests.encodeFileWatch(request), noEnd, options);
  }

  /** Any payload, also a malformed one. */
  open<T>(
    name: keyof typeof messageTypes,
    payload: ParseResult<Uint8Array>,
    parseEnd: (payload: Uint8Array) => ParseResult<T>,
    options: CallOptions = {},
  ): FileCall<T> {
    const channel = this.#nextChannel++;
    const call = new FileCall<T>(this, name, channel, parseEnd, options);
    this.#calls.set(channel, call);
    this.send(name, channel, parsed(payload), channel);
    return call;
  }

  /** Every file of a directory, by the records of a list. */
  async entries(request: requests.FileList): Promise<answers.FileEntry[]> {
    const call = this.list(request);
    await call.end;
    return recordsOf(call.output, answers.parseFileEntry);
  }

  async contentOf(path: requests.FileRead['path']): Promise<string> {
    const call = this.read({ path });
    await call.end;
    return call.output.toString();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const exit = once(this.process, 'exit');
      this.process.stdin?.end();
      try {
        await within(exit, () => `the end of the agent; ${this.violations.join('; ')}`, patienceMs);
      } finally {
        this.process.kill('SIGKILL');
      }
    }
    assert.deepEqual(this.violations, []);
  }

  #take(frame: Frame): void {
    const broken = brokenRule(frame, 'responder', 'link');
    if (broken !== undefined) this.violations.push(broken);
    if (frame.type === messageTypes.Welcome.code) this.#welcome?.();
    const call = this.#calls.get(frame.channel);
    if (call === undefined) {
      if (frame.channel !== 0) this.violations.push(`${messageName(frame.type)} on channel ${frame.channel}`);
    } else if (call.take(frame)) {
      this.#calls.delete(frame.channel);
    }
  }
}

/** What the driver needs of a call, whatever it ends with. */
type OpenCall = Pick<FileCall<unknown>, 'take' | 'fail'>;

export interface CallOptions {
  /** Instead of collecting the output; false keeps the credit for it back. */
  readonly onOutput?: (bytes: Uint8Array) => unknown;
}

export class FileCall<T> {
  readonly channel: number;
  readonly #name: string;
  readonly #ack: Promise<Uint8Array>;
  readonly #end: Promise<T>;
  readonly #closed: Promise<void>;
  #isClosed = false;
  readonly #guest: FileGuest;
  readonly #parseEnd: (payload: Uint8Array) => ParseResult<T>;
  readonly #onOutput: (bytes: Uint8Array) => unknown;
  readonly #chunks: Uint8Array[] = [];
  #resolveAck: (map: Uint8Array) => void = () => undefined;
  #resolveEnd: (end: T) => void = () => undefined;
  #resolveClosed: () => void = () => undefined;
  #rejectAck: (error: Error) => void = () => undefined;
  #rejectEnd: (error: Error) => void = () => undefined;
  #acknowledged = false;
  #inputCredit = inputWindowBytes;
  #wake: (() => void) | undefined;

  constructor(
    guest: FileGuest,
    name: string,
    channel: number,
    parseEnd: (payload: Uint8Array) => ParseResult<T>,
    options: CallOptions,
  ) {
    this.#guest = guest;
    this.#name = name;
    this.channel = channel;
    this.#parseEnd = parseEnd;
    this.#onOutput = options.onOutput ?? ((bytes) => this.#chunks.push(Uint8Array.from(bytes)));
    this.#ack = new Promise((resolve, reject) => {
      this.#resolveAck = resolve;
      this.#rejectAck = reject;
    });
    this.#end = new Promise((resolve, reject) => {
      this.#resolveEnd = resolve;
      this.#rejectEnd = reject;
    });
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#ack.catch(() => undefined);
    this.#end.catch(() => undefined);
  }

  /** The map of the Ack, or the error. */
  get ack(): Promise<Uint8Array> {
    return this.#awaited(this.#ack, 'Ack');
  }

  get end(): Promise<T> {
    return this.#awaited(this.#end, 'the end');
  }

  get closed(): Promise<void> {
    return this.#awaited(this.#closed, 'the close');
  }

  #awaited<P>(promised: Promise<P>, what: string): Promise<P> {
    const state = () => {
      const opened = this.#acknowledged ? 'acknowledged' : 'unanswered';
      return `${what} of ${this.#name} on channel ${this.channel}, ${opened}, ${this.output.length} bytes of output`;
    };
    const awaited = within(promised, state, patienceMs);
    awaited.catch(() => undefined);
    return awaited;
  }

  get output(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** The records that have come so far. */
  records<R>(parse: (record: Uint8Array) => ParseResult<R>): R[] {
    return this.recordsIn(this.output, parse);
  }

  recordsIn<R>(bytes: Uint8Array, parse: (record: Uint8Array) => ParseResult<R>): R[] {
    return recordsOf(bytes, parse);
  }

  /** Sends within the credit, and resolves when all was sent or the call is over. */
  async send(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length; ) {
      if (this.#inputCredit === 0) {
        const granted = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        if (!this.#isClosed) await this.#awaited(Promise.race([this.#closed, granted]), 'credit');
        if (this.#inputCredit === 0) return;
      }
      const length = Math.min(bytes.length - offset, this.#inputCredit, payloadBytesMax);
      this.#inputCredit -= length;
      this.#guest.send('Input', this.channel, bytes.subarray(offset, offset + length));
      offset += length;
      if (!this.#guest.takesMore) await this.#guest.drained();
    }
  }

  eof(): void {
    this.#guest.send('InputEof', this.channel);
  }

  /** All of it, and the end. */
  async sendAll(bytes: Uint8Array | string): Promise<T> {
    await this.send(Buffer.from(bytes));
    this.eof();
    return this.end;
  }

  async abandon(): Promise<void> {
    this.#guest.send('ChannelClose', this.channel);
    await this.closed;
  }

  /** The code this is refused with. */
  async refusal(): Promise<string> {
    try {
      await this.end;
    } catch (error) {
      if (error instanceof FileError) return error.code;
      throw error;
    }
    throw new Error('it was not refused');
  }

  /** True when it was the last frame. */
  take(frame: Frame): boolean {
    const payload = Uint8Array.from(frame.payload);
    switch (frame.type) {
      case messageTypes.Ack.code:
        if (this.#acknowledged) this.#guest.violations.push('a second Ack');
        this.#acknowledged = true;
        this.#resolveAck(payload);
        return false;
      case messageTypes.Output.code:
        if (!this.#acknowledged) this.#guest.violations.push('output before its Ack');
        if (payload.length === 0) this.#guest.violations.push('an empty output frame');
        if (this.#onOutput(payload) !== false) {
          this.#guest.send('Credit', this.channel, encodeCredit(payload.length));
        }
        return false;
      case messageTypes.Credit.code:
        this.#inputCredit += parsed(parseCredit(payload));
        this.#wake?.();
        return false;
      case messageTypes.End.code:
        this.#finish(() => this.#resolveEnd(parsed(this.#parseEnd(payload))));
        return true;
      case messageTypes.Error.code: {
        const { code, message } = parsed(parseError(payload));
        this.fail(new FileError(code, message));
        return true;
      }
      case messageTypes.ChannelClose.code:
        this.fail(new Error('closed'));
        return true;
      default:
        this.#guest.violations.push(`${messageName(frame.type)} on a file's channel`);
        return false;
    }
  }

  fail(error: Error): void {
    this.#finish(() => {
      this.#rejectAck(error);
      this.#rejectEnd(error);
    });
  }

  #finish(settle: () => void): void {
    try {
      settle();
    } catch (error) {
      this.#guest.violations.push(String(error));
      this.#rejectEnd(new Error(String(error)));
    }
    this.#isClosed = true;
    this.#resolveClosed();
  }
}

function recordsOf<R>(bytes: Uint8Array, parse: (record: Uint8Array) => ParseResult<R>): R[] {
  return [...parsed(new RecordReader(parse).push(bytes))];
}

/** The code an answer was refused with, or "fine". */
export async function codeOf(end: Promise<unknown>): Promise<string> {
  try {
    await end;
    return 'fine';
  } catch (error) {
    return error instanceof FileError ? error.code : String(error);
  }
}
