import assert from 'node:assert/strict';
import {
  type ChannelOpener,
  type ChannelReceiver,
  type OpenOptions,
  type RequesterChannel,
  ResponderError,
} from '../../protocol/channel-opener.ts';
import { encodeCredit, encodeError, parseCredit } from '../../protocol/control-messages.ts';
import { noPayload } from '../../protocol/frame.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { isTerminal, messageName, messageTypes } from '../../protocol/message-types.ts';
import { encodeRecord } from '../../protocol/record-reader.ts';
import type { ResponderErrorCode } from '../../protocol/responder-error-codes.ts';
import { within } from '../support/within.ts';

/**
 * The other end of an opener, in memory, doing what a test tells it and nothing else. It keeps the rules that a guest
 * keeps: input within its credit, output within its own (unless a test breaks that on purpose), one terminal frame.
 */
export class ScriptedResponder implements ChannelOpener {
  readonly closed: Promise<string>;
  readonly channels: ScriptedChannel[] = [];
  readonly #windows: { readonly input: number; readonly output: number };
  readonly #asked: ((channel: ScriptedChannel) => void)[] = [];
  readonly #unseen: ScriptedChannel[] = [];
  #answers: ((type: number) => Promise<Uint8Array>)[] = [];
  #close: (reason: string) => void = () => {};
  #lost: Error | undefined;

  constructor(windows: { input?: number; output?: number } = {}) {
    this.#windows = { input: windows.input ?? 65_536, output: windows.output ?? 262_144 };
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
  }

  open(
    type: number,
    payload: Uint8Array,
    receiver: ChannelReceiver,
    options: OpenOptions = {},
  ): RequesterChannel {
    if (this.#lost) throw this.#lost;
    const channel = new ScriptedChannel(this.channels.length + 1, type, payload, receiver, {
      input: this.#windows.input,
      output: options.windowBytes ?? this.#windows.output,
    });
    this.channels.push(channel);
    const asked = this.#asked.shift();
    if (asked) asked(channel);
    else this.#unseen.push(channel);
    return channel;
  }

  async request(type: number): Promise<Uint8Array> {
    const answer = this.#answers.shift();
    assert.ok(answer, `nothing answers ${messageName(type)}`);
    return answer(type);
  }

  /** The next channel that is opened. */
  next(): Promise<ScriptedChannel> {
    const channel = this.#unseen.shift();
    if (channel) return Promise.resolve(channel);
    const asked = new Promise<ScriptedChannel>((resolve) => this.#asked.push(resolve));
    return within(asked, () => `another channel behind ${this.channels.length}`);
  }

  answer(answer: (type: number) => Promise<Uint8Array>): void {
    this.#answers.push(answer);
  }

  lose(error = new Error('the wire was lost')): void {
    this.#lost = error;
    for (const channel of this.channels) channel.lose(error);
    this.#close(error.message);
  }

  get openChannels(): number {
    return this.channels.filter((channel) => !channel.ended).length;
  }
}

export class ScriptedChannel implements RequesterChannel {
  readonly number: number;
  readonly type: number;
  readonly payload: Uint8Array;
  readonly received: { readonly name: string; readonly payload: Uint8Array }[] = [];
  ended = false;
  closing = false;
  /** Called for each frame that has come. */
  onReceived: () => void = () => {};
  inputCredit = 0;
  /** What may still be sent without a grant; a test may look how far it went down. */
  outputCredit: number;
  readonly #inputWindow: number;
  readonly outputWindow: number;
  readonly #receiver: ChannelReceiver;
  readonly #waiting: { readonly isThere: () => boolean; readonly settle: () => void }[] = [];

  constructor(
    number: number,
    type: number,
    payload: Uint8Array,
    receiver: ChannelReceiver,
    windows: { readonly input: number; readonly output: number },
  ) {
    this.number = number;
    this.type = type;
    this.payload = payload;
    this.#receiver = receiver;
    this.#inputWindow = windows.input;
    this.outputWindow = windows.output;
    this.outputCredit = windows.output;
  }

  send(type: number, payload: Uint8Array): void {
    if (this.ended) return;
    if (type === messageTypes.Input.code) {
      assert.ok(payload.length > 0 && payload.length <= this.inputCredit, 'input within its credit');
      this.inputCredit -= payload.length;
    }
    if (type === messageTypes.Credit.code) {
      const bytes = parseCredit(payload);
      assert.ok('value' in bytes && bytes.value > 0);
      this.outputCredit += bytes.value;
      assert.ok(this.outputCredit <= this.outputWindow, 'never granted above the window');
    }
    this.received.push({ name: messageName(type), payload });
    this.#look();
  }

  close(): void {
    assert.ok(!this.closing, 'ChannelClose is sent once');
    this.closing = true;
    this.received.push({ name: 'ChannelClose', payload: noPayload });
    this.#look();
  }

  ack(payload: Uint8Array = emptyMap): void {
    this.inputCredit = this.#inputWindow;
    this.frame(messageTypes.Ack.code, payload);
  }

  output(bytes: Uint8Array | string, type: number = messageTypes.Output.code): void {
    const payload = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
    assert.ok(
      payload.length <= this.outputCredit,
      `${payload.length} bytes with ${this.outputCredit} granted`,
    );
    this.outputCredit -= payload.length;
    this.frame(type, payload);
  }

  errorOutput(text: string): void {
    this.output(text, messageTypes.ErrorOutput.code);
  }

  record(map: Uint8Array): void {
    this.output(encodeRecord(map));
  }

  credit(bytes: number): void {
    this.inputCredit = Math.min(this.#inputWindow, this.inputCredit + bytes);
    this.frame(messageTypes.Credit.code, encodeCredit(bytes));
  }

  end(payload: Uint8Array = emptyMap): void {
    this.frame(messageTypes.End.code, payload);
  }

  refuse(code: ResponderErrorCode, message = code): void {
    this.frame(messageTypes.Error.code, encodeError({ code, message }));
  }

  /** The answer to ChannelClose. */
  confirmClose(): void {
    this.frame(messageTypes.ChannelClose.code, noPayload);
  }

  frame(type: number, payload: Uint8Array): void {
    assert.ok(!this.ended, 'nothing follows a terminal frame');
    if (isTerminal(type)) this.ended = true;
    this.#receiver.onFrame({ type, channel: this.number, id: 0, payload });
  }

  lose(error: Error): void {
    if (this.ended) return;
    this.ended = true;
    this.#receiver.onLost(error);
  }

  /** Settles once that many frames of the name have come. */
  async until(name: string, count = 1): Promise<void> {
    const isThere = () => this.received.filter((frame) => frame.name === name).length >= count;
    await this.when(isThere);
  }

  async when(isThere: () => boolean): Promise<void> {
    if (isThere()) return;
    const there = new Promise<void>((settle) => this.#waiting.push({ isThere, settle }));
    await within(there, () => `frames; there were ${this.names.join()}`);
  }

  get names(): readonly string[] {
    return this.received.map((frame) => frame.name);
  }

  get inputText(): string {
    const inputs = this.received.filter((frame) => frame.name === 'Input');
    return Buffer.concat(inputs.map((frame) => frame.payload)).toString();
  }

  #look(): void {
    this.onReceived();
    for (const waiting of [...this.#waiting]) {
      if (!waiting.isThere()) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.settle();
    }
  }
}

export function refused(code: ResponderErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof ResponderError && error.code === code;
}

/** Lets everything run that waits for nothing. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
