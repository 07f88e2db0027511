import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { channelKind } from '../../protocol/channel-kinds.ts';
import type { ChannelReceiver, OpenOptions, RequesterChannel } from '../../protocol/channel-opener.ts';
import { encodeExecStart } from '../../protocol/exec-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { inputWindowBytes, nonceBytes, windowBytesDefault } from '../../protocol/limits.ts';
import { LinkDecoder } from '../../protocol/link-decoder.ts';
import { resyncPaddingBytes } from '../../protocol/link-framing.ts';
import { brokenRule, messageName, messageTypes } from '../../protocol/message-types.ts';
import { encodeHello, parseWelcome, type Welcome } from '../../protocol/session-messages.ts';
import { sameBytes, WelcomeSearch } from '../../protocol/welcome-search.ts';
import { Deferred } from '../deferred.ts';
import type { Clock } from '../domain/clock.ts';
import { assertThat, invalidRequest, WarmpoolError } from '../domain/errors.ts';
import type { Log } from '../observability/log.ts';
import { ExecChannel } from './exec-channel.ts';
import { printable } from './exec-error.ts';
import type { Guest, GuestCommand, GuestProcess, OutputSink } from './guest.ts';
import { lends } from './lending-transport.ts';
import { kept, LinkChannel } from './link-channel.ts';
import { LinkViolation, parsed } from './link-violation.ts';
import { Outbox } from './outbox.ts';
import { Pings } from './pings.ts';
import { Requests } from './requests.ts';

export interface GuestLinkOptions {
  readonly clock: Clock;
  readonly logger?: Log;
  /** The guest may hold an older epoch, or half a frame of it: pad, and discard until our Welcome. */
  readonly resync: boolean;
  /** From the call until the Welcome. */
  readonly openTimeoutMs: number;
  /** Output bytes that each channel may have on the way, and so the most that one slow receiver holds. */
  readonly window?: number;
  /** How long the guest may take to open a channel before the link counts as dead, and to answer on channel 0. */
  readonly answerTimeoutMs?: number;
}

/**
 * The node's end of the link to one guest: the port Guest over a byte stream. It owns the transport, the epoch, and the
 * table of channels.
 *
 *   opening ──Welcome with our nonce──▶ open ──close, loss or violation──▶ closed
 *      └───────timeout, loss or violation──────────────────────────────────────▶
 *
 * Invariants: nothing but Hello leaves before the Welcome; no frame is believed: the decoder checks form, `brokenRule`
 * type, direction, channel and size, the channel order and credit, and the first wrong one closes the link; channel
 * numbers are not used twice before all others were; once closed, every promise has settled, the transport is destroyed
 * and nothing is sent or delivered any more.
 *
 * Turned down: reconnecting in here. Whether a sandbox whose link dropped is worth a second link depends on its runtime
 * and its lease, so the owner opens a new GuestLink, and the guest's epoch rule makes that safe.
 */
export class GuestLink implements Guest, AsyncDisposable {
  readonly #transport: Duplex;
  readonly #clock: Clock;
  readonly #logger: Log | undefined;
  readonly #windowBytes: number;
  readonly #answerTimeoutMs: number;
  readonly #nonce: Uint8Array = randomBytes(nonceBytes);
  readonly #outbox: Outbox;
  readonly #pings: Pings;
  readonly #requests: Requests;
  readonly #decoder = new LinkDecoder('lent');
  /** Set while bytes of another epoch may still come. */
  #search: WelcomeSearch | undefined;
  #welcome: Welcome | undefined;
  #closeReason: string | undefined;
  readonly #channels = new Map<number, LinkChannel>();
  #lastChannel = 0;
  readonly #opened = new Deferred<void>();
  readonly #closed = new Deferred<string>();

  /** Rejects with GUEST_UNREACHABLE, and destroys the transport, when there is no Welcome in time. */
  static async open(transport: Duplex, options: GuestLinkOptions): Promise<GuestLink> {
    const link = new GuestLink(transport, options);
    const { openTimeoutMs } = options;
    const cancel = options.clock.after(openTimeoutMs, () =>
      link.#close(`the guest did not answer Hello within ${openTimeoutMs} ms`),
    );
    try {
      await link.#opened.promise;
      return link;
    } finally {
      cancel();
    }
  }

  private constructor(transport: Duplex, options: GuestLinkOptions) {
    this.#transport = transport;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#windowBytes = options.window ?? windowBytesDefault;
    this.#answerTimeoutMs = options.answerTimeoutMs ?? answerTimeoutMsDefault;
    this.#outbox = new Outbox(transport, {
      clock: options.clock,
      onOverflow: () => this.#close('the guest does not read its input'),
    });
    this.#pings = new Pings({ outbox: this.#outbox, clock: options.clock });
    this.#requests = new Requests(
      { outbox: this.#outbox, clock: options.clock },
      { timeoutMs: this.#answerTimeoutMs },
    );
    this.#search = options.resync ? new WelcomeSearch(this.#nonce) : undefined;
    transport.on('error', (error) => this.#close(`the transport failed: ${printable(error.message)}`));
    transport.on('end', () => this.#close('the guest closed its end'));
    transport.on('close', () => this.#close('the transport was closed'));
    if (lends(transport)) transport.lend((bytes) => this.#onData(bytes));
    else transport.on('data', (chunk: Buffer) => this.#onData(chunk));
    if (transport.destroyed || transport.readableEnded) {
      this.#close('the transport was closed');
      return;
    }
    if (options.resync) transport.write(resyncPadding);
    const payload = encodeHello({ nonce: this.#nonce, window: this.#windowBytes });
    this.#outbox.send({ type: messageTypes.Hello.code, channel: 0, id: helloId, payload });
  }

  get closed(): Promise<string> {
    return this.#closed.promise;
  }

  /** As the guest says, which may be of another version than this service, and no more than is meant to wait here. */
  get inputWindowBytes(): number {
    return Math.min(this.#welcome?.window ?? 0, inputWindowBytes);
  }

  async spawn(command: GuestCommand, output: OutputSink): Promise<GuestProcess> {
    if (this.#closeReason !== undefined) throw this.#unreachable();
    const payload = encodeExecStart(command);
    if ('error' in payload) {
      throw invalidRequest([{ field: 'argv', description: `the command cannot be sent: ${payload.error}` }]);
    }
    const open = (receiver: ChannelReceiver) =>
      this.open(messageTypes.ExecStart.code, payload.value, receiver);
    return new ExecChannel(command, { output, open }, { windowBytes: this.#windowBytes }).started;
  }

  open(
    type: number,
    payload: Uint8Array,
    receiver: ChannelReceiver,
    options: OpenOptions = {},
  ): RequesterChannel {
    const welcome = this.#welcome;
    if (this.#closeReason !== undefined || welcome === undefined) throw this.#unreachable();
    const { channelsMax } = welcome;
    if (this.#channels.size >= channelsMax) {
      throw new WarmpoolError('LIMIT_EXCEEDED', `the sandbox has ${channelsMax} channels open already`);
    }
    const kind = channelKind(type);
    assertThat(kind !== undefined, `${messageName(type)} opens no channel`);
    const outputWindow = options.windowBytes ?? this.#windowBytes;
    assertThat(
      outputWindow >= 1 && outputWindow <= this.#windowBytes,
      'a channel asks for no more than the window of its link',
    );
    const number = this.#nextChannel();
    const onAnswered = kind.endsUnopened ? () => {} : this.#answerAwaited(type);
    const channel = new LinkChannel(
      { outbox: this.#outbox, receiver, onAnswered, onEnd: () => this.#channels.delete(number) },
      { number, request: type, requestId: number, kind, outputWindow, inputWindow: welcome.window },
    );
    this.#channels.set(number, channel);
    this.#outbox.send({ type, channel: number, id: number, payload });
    return channel;
  }

  async request(type: number, payload: Uint8Array): Promise<Uint8Array> {
    if (this.#closeReason !== undefined || this.#welcome === undefined) throw this.#unreachable();
    return this.#requests.ask(type, payload);
  }

  async ping(timeoutMs: number): Promise<void> {
    if (this.#closeReason !== undefined) throw this.#unreachable();
    return this.#pings.ping(timeoutMs);
  }

  /** Detaches: pending calls fail with GUEST_UNREACHABLE. What the sandbox does then is its runtime's matter. */
  close(): void {
    this.#close('the node closed the link');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    if (!this.#transport.closed) await once(this.#transport, 'close');
  }

  #onData(chunk: Uint8Array): void {
    if (this.#closeReason !== undefined) return;
    try {
      const bytes = this.#search === undefined ? chunk : this.#searched(this.#search, chunk);
      this.#decoder.push(bytes, (frame) => this.#onFrame(frame));
      if (this.#decoder.end !== null) this.#violated(this.#decoder.end);
    } catch (error) {
      if (error instanceof LinkViolation) this.#violated(error.message);
      else this.#receiverFailed(error);
    }
  }

  /** What of the chunk belongs to our epoch. */
  #searched(search: WelcomeSearch, chunk: Uint8Array): Uint8Array {
    const found = search.push(chunk);
    if (found === null) return nothing;
    this.#search = undefined;
    this.#open(found.welcome);
    return found.rest;
  }

  #onFrame(frame: Frame): void {
    const broken = brokenRule(frame, 'responder', 'link');
    if (broken !== undefined) throw new LinkViolation(broken);
    if (this.#welcome === undefined) this.#onFirstFrame(frame);
    else if (frame.channel === 0) this.#onControl(frame);
    else this.#onChannel(frame);
  }

  #onChannel(frame: Frame): void {
    const channel = this.#channels.get(frame.channel);
    if (channel === undefined) {
      throw new LinkViolation(`${messageName(frame.type)} on a channel that is not open`);
    }
    channel.receive(frame);
  }

  #onFirstFrame(frame: Frame): void {
    if (frame.type !== messageTypes.Welcome.code)
      throw new LinkViolation(`${messageName(frame.type)} before Welcome`);
    const welcome = parsed(frame, parseWelcome(frame.payload));
    if (!sameBytes(welcome.nonce, this.#nonce))
      throw new LinkViolation('Welcome with the nonce of another Hello');
    this.#open(welcome);
  }

  #onControl(frame: Frame): void {
    const { Ack, Ping, Pong, Error: Refusal } = messageTypes;
    if (frame.type === Pong.code) {
      this.#pings.onPong(frame);
    } else if (frame.type === Ping.code) {
      // A guest that asks without reading the answers gets none, rather than a queue of them.
      if (!this.#outbox.full) this.#outbox.send({ ...kept(frame), type: Pong.code });
    } else if (frame.type === Ack.code || frame.type === Refusal.code) {
      this.#requests.onAnswer(frame);
    } else {
      throw new LinkViolation(`${messageName(frame.type)} on an open link`);
    }
  }

  #open(welcome: Welcome): void {
    this.#welcome = welcome;
    this.#opened.resolve();
  }

  #violated(what: string): void {
    if (this.#closeReason !== undefined) return;
    this.#logger?.warn({ violation: what }, 'the guest broke the protocol');
    this.#close(`the guest broke the protocol: ${what}`);
  }

  /** A mistake of ours, met in the middle of a frame: this sandbox's streams are lost, the others' go on. */
  #receiverFailed(error: unknown): void {
    this.#logger?.error({ err: error }, 'a receiver of output threw; its guest link is closed');
    this.#close('a receiver of output failed');
  }

  #close(reason: string): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    this.#decoder.stop();
    this.#search = undefined;
    this.#outbox.close();
    const error = this.#unreachable();
    this.#pings.lose(error);
    this.#requests.lose(error);
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    for (const channel of channels) this.#loseChannel(channel, error);
    this.#opened.reject(error);
    this.#closed.resolve(reason);
    this.#transport.destroy();
    this.#logger?.debug({ reason }, 'guest link closed');
  }

  /**
   * Gives the guest its time to open a channel; the call that is given back says that it did. What is answered when it is
   * done, like the removal of a great tree, may take as long as its requester waits.
   */
  #answerAwaited(type: number): () => void {
    return this.#clock.after(this.#answerTimeoutMs, () =>
      this.#close(`the guest did not answer ${messageName(type)} within ${this.#answerTimeoutMs} ms`),
    );
  }

  /** Every channel hears of the loss, whatever another's receiver makes of it. */
  #loseChannel(channel: LinkChannel, error: Error): void {
    try {
      channel.lose(error);
    } catch (failure) {
      this.#logger?.error({ err: failure }, 'a receiver threw when it was told that its guest link is lost');
    }
  }

  #unreachable(): WarmpoolError {
    return new WarmpoolError(
      'GUEST_UNREACHABLE',
      `the sandbox cannot be reached: ${this.#closeReason ?? 'its link is not open'}`,
    );
  }

  /** Numbers go up, so that a late frame of an old process cannot meet a new one; after four billion they wrap. */
  #nextChannel(): number {
    do {
      this.#lastChannel = this.#lastChannel === 0xffff_ffff ? 1 : this.#lastChannel + 1;
    } while (this.#channels.has(this.#lastChannel));
    return this.#lastChannel;
  }
}

const helloId = 1;
const nothing = new Uint8Array(0);
/** Completes and so invalidates whatever half frame another writer left; written by nobody, so shared. */
const resyncPadding = Buffer.alloc(resyncPaddingBytes);
/** A start is a fork and an exec; on the busiest host this is a guest that is frozen or gone. */
const answerTimeoutMsDefault = 30_000;
