import { channelKind } from '../../protocol/channel-kinds.ts';
import {
  type ChannelOpener,
  type ChannelReceiver,
  type OpenOptions,
  ResponderError,
} from '../../protocol/channel-opener.ts';
import { closeCodes } from '../../protocol/close-codes.ts';
import { parseError } from '../../protocol/control-messages.ts';
import {
  encodeFrame,
  encodeFrameInto,
  type Frame,
  headerBytes,
  parseFrame,
  viewOf,
  writeHeader,
} from '../../protocol/frame.ts';
import { payloadBytesMax, u32Max } from '../../protocol/limits.ts';
import { brokenRule, messageName, messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import type { LeaseNotice, Ready } from '../../protocol/session-messages.ts';
import { parseLeaseNotice, parseReady } from '../../protocol/session-messages.ts';
import { Deferred } from '../deferred.ts';
import { PendingRequests } from '../socket-channels/pending-requests.ts';
import { type ChannelSocket, SocketChannel } from '../socket-channels/socket-channel.ts';
import type { ClientSocket, Dial, DialTarget, SocketEvents } from './dial.ts';
import { Heartbeat } from './heartbeat.ts';
import { endOfClose, type SessionEnd } from './session-end.ts';
import { WarmpoolClientError } from './warmpool-client-error.ts';

export interface SessionListener {
  onLease(notice: LeaseNotice): void;
  /** Once, before channels and requests are told. */
  onEnd(): void;
}

/**
 * One WebSocket to a node, from the upgrade to its end. Owns the numbers of channels, the requests on channel 0, and the
 * measure of whether the other side is still there.
 *
 *   open(): upgrade ──▶ waits for Ready ──Ready──▶ open ──▶ ended
 *                              └─────────────────────────────▶ ended
 *
 * Invariants: nothing is sent before Ready; a frame that breaks a rule of the protocol ends the session, and nothing of
 * it reaches a receiver; when ended, every channel and every request has been told.
 *
 * Turned down: connecting again in here. A session is what one socket can promise; DataConnection lives longer.
 */
export class SocketSession implements ChannelOpener, ChannelSocket, SocketEvents {
  readonly closed: Promise<string>;
  /** Settles when the socket is gone. Never rejects. */
  readonly ended: Promise<SessionEnd>;
  readonly #listener: SessionListener;
  readonly #readyArrived = new Deferred<Ready>();
  readonly #end = new Deferred<SessionEnd>();
  readonly #channels = new Map<number, SocketChannel>();
  readonly #requests: PendingRequests;
  readonly #heartbeat: Heartbeat;
  #socket: ClientSocket | null = null;
  #ready: Ready | null = null;
  #isOver = false;
  #endingReason: string | undefined;
  #lastChannel = 0;

  /** Settles when the node's Ready has come; rejects with a WarmpoolClientError, or the signal's reason. */
  static async open(
    deps: { readonly dial: Dial; readonly listener: SessionListener },
    target: DialTarget,
    signal: AbortSignal,
  ): Promise<SocketSession> {
    const session = new SocketSession(deps.listener);
    // By hand: `AbortSignal.any` and `.timeout` take as long as a tenth of all else that a connection costs here.
    const giveUp = new AbortController();
    const follow = () => giveUp.abort(signal.reason);
    const timer = setTimeout(() => giveUp.abort(tooSlow().error), openingMsMax);
    const abort = () => session.#abort(tooSlow());
    signal.addEventListener('abort', follow);
    if (signal.aborted) follow();
    try {
      session.#socket = await deps.dial(target, session, giveUp.signal);
      giveUp.signal.addEventListener('abort', abort);
      if (giveUp.signal.aborted) abort();
      await session.#readyArrived.promise;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw giveUp.signal.aborted ? tooSlow().error : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', follow);
      giveUp.signal.removeEventListener('abort', abort);
    }
    return session;
  }

  private constructor(listener: SessionListener) {
    this.#listener = listener;
    this.ended = this.#end.promise;
    this.closed = this.#end.promise.then(({ error }) => error.message);
    this.#requests = new PendingRequests((frame) => this.send(frame));
    this.#heartbeat = new Heartbeat({
      ping: (payload, id) => this.send({ type: messageTypes.Ping.code, channel: 0, id, payload }),
      onSilence: () => this.#abort({ error: silent(), isWorthAnotherTry: true }),
    });
  }

  get ready(): Ready {
    if (this.#ready === null) throw new Error('assertion failed: a session is used after its Ready');
    return this.#ready;
  }

  get inputWindowBytes(): number {
    return this.ready.inputWindow;
  }

  /** Of the last ping that was answered; null before the first. */
  get latencyMs(): number | null {
    return this.#heartbeat.latencyMs;
  }

  open(
    type: number,
    payload: Uint8Array,
    receiver: ChannelReceiver,
    options: OpenOptions = {},
  ): SocketChannel {
    if (this.#isOver) throw new WarmpoolClientError('connection_lost', 'the connection is gone');
    const kind = channelKind(type);
    if (kind === undefined) throw new Error(`assertion failed: ${messageName(type)} opens no channel`);
    if (this.#channels.size >= this.ready.channelsMax) {
      throw new ResponderError(
        'limit_exceeded',
        `this connection has ${this.ready.channelsMax} channels open`,
      );
    }
    const number = this.#freeNumber();
    const outputWindowBytes = Math.min(options.windowBytes ?? this.ready.window, this.ready.window);
    const channel = new SocketChannel({ socket: this, receiver }, { number, kind, outputWindowBytes });
    this.#channels.set(number, channel);
    this.send({ type, channel: number, id: 0, payload });
    return channel;
  }

  request(type: number, payload: Uint8Array): Promise<Uint8Array> {
    if (this.#isOver)
      return Promise.reject(new WarmpoolClientError('connection_lost', 'the connection is gone'));
    return this.#requests.ask(type, payload);
  }

  /** Milliseconds to the node and back. */
  ping(): Promise<number> {
    if (this.#isOver)
      return Promise.reject(new WarmpoolClientError('connection_lost', 'the connection is gone'));
    return this.#heartbeat.measure();
  }

  /** Says goodbye. `ended` settles at once: nobody has to wait for the other side. */
  close(): void {
    this.#socket?.close(closeCodes.normal, '');
    this.#finish(endOfClose(closeCodes.normal, '', undefined));
  }

  send(frame: Frame): void {
    const socket = this.#socket;
    if (this.#isOver || socket === null) return;
    if (socket.sendFrame) {
      writeHeader(headerView, 0, frame);
      socket.sendFrame(header, frame.payload);
    } else {
      const isLarge = frame.payload.length >= largeBytes;
      socket.send(isLarge ? encodeFrameInto(room(), frame) : encodeFrame(frame));
    }
  }

  released(channelNumber: number): void {
    this.#channels.delete(channelNumber);
  }

  onMessage(message: Uint8Array | string): void {
    if (this.#isOver) return;
    this.#heartbeat.heard();
    const broken = this.#takeMessage(message);
    if (broken !== undefined) this.#violated(broken);
  }

  onClose(code: number, reason: string): void {
    this.#finish(endOfClose(code, reason, this.#endingReason));
  }

  /** Returns which rule the message breaks, if it does. */
  #takeMessage(message: Uint8Array | string): string | undefined {
    if (typeof message === 'string') return 'a text message';
    const frame = parseFrame(message);
    if ('error' in frame) return frame.error;
    return brokenRule(frame.value, 'responder', 'socket') ?? this.#take(frame.value);
  }

  #take(frame: Frame): string | undefined {
    if (this.#ready === null) return this.#takeReady(frame);
    if (frame.channel === 0) return this.#takeControl(frame);
    const channel = this.#channels.get(frame.channel);
    if (channel === undefined)
      return `${messageName(frame.type)} on channel ${frame.channel}, which is not open`;
    return channel.take(frame);
  }

  #takeReady(frame: Frame): string | undefined {
    if (frame.type !== messageTypes.Ready.code) return `${messageName(frame.type)} before Ready`;
    const ready = parseReady(frame.payload);
    if ('error' in ready) return `Ready: ${ready.error}`;
    this.#ready = ready.value;
    this.#heartbeat.start(ready.value.pingMs);
    this.#readyArrived.resolve(ready.value);
    return undefined;
  }

  #takeControl(frame: Frame): string | undefined {
    switch (frame.type) {
      case messageTypes.Ack.code:
        return this.#requests.answered(frame.id, frame.payload) ? undefined : 'an Ack that answers nothing';
      case messageTypes.Error.code:
        return this.#takeError(frame);
      case messageTypes.LeaseNotice.code:
        return this.#takeNotice(parseLeaseNotice(frame.payload));
      case messageTypes.Pong.code:
        this.#heartbeat.answered(frame.id);
        return undefined;
      case messageTypes.Ping.code:
        this.send({ ...frame, type: messageTypes.Pong.code });
        return undefined;
      default:
        return `${messageName(frame.type)} on the control channel`;
    }
  }

  #takeError(frame: Frame): string | undefined {
    const error = parseError(frame.payload);
    if ('error' in error) return `Error: ${error.error}`;
    const { code, message } = error.value;
    return this.#requests.refused(frame.id, new ResponderError(code, message))
      ? undefined
      : `Error ${code} that answers nothing: ${message}`;
  }

  #takeNotice(notice: ParseResult<LeaseNotice>): string | undefined {
    if ('error' in notice) return `LeaseNotice: ${notice.error}`;
    if (notice.value.kind === 'ending') this.#endingReason = notice.value.reason ?? 'unknown';
    this.#listener.onLease(notice.value);
    return undefined;
  }

  #violated(sentence: string): void {
    const error = new WarmpoolClientError('protocol_error', `the node broke the protocol: ${sentence}`);
    // A close reason has room for 123 bytes.
    this.#socket?.close(closeCodes.protocolBroken, sentence.slice(0, 40));
    this.#finish({ error, isWorthAnotherTry: false });
  }

  #abort(end: SessionEnd): void {
    this.#socket?.abort();
    this.#finish(end);
  }

  #finish(end: SessionEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#heartbeat.stop();
    this.#listener.onEnd();
    this.#readyArrived.reject(end.error);
    this.#end.resolve(end);
    this.#requests.lose(end.error);
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    for (const channel of channels) channel.lose(end.error);
  }

  /** Numbers come round after four thousand million channels; one that is still open is passed over. */
  #freeNumber(): number {
    do {
      this.#lastChannel = this.#lastChannel === u32Max ? 1 : this.#lastChannel + 1;
    } while (this.#channels.has(this.#lastChannel));
    return this.#lastChannel;
  }
}

/** The upgrade and Ready take two round trips and no work; a person looks for the reason after that long. */
const openingMsMax = 15_000;

function tooSlow(): SessionEnd {
  const error = new WarmpoolClientError('unreachable', `no answer within ${openingMsMax / 1_000} s`);
  return { error, isWorthAnotherTry: true };
}

function silent(): WarmpoolClientError {
  return new WarmpoolClientError(
    'connection_lost',
    'the connection broke: nothing was heard for two ping periods',
  );
}

/** A socket has taken it when `sendFrame` returns, so one does for all. */
const header = new Uint8Array(headerBytes);
const headerView = viewOf(header);

/** Where large frames are put together: a socket has taken a message when `send` returns, so one room does for all. */
function room(): Uint8Array {
  sharedRoom ??= new Uint8Array(headerBytes + payloadBytesMax);
  return sharedRoom;
}
let sharedRoom: Uint8Array | undefined;
const largeBytes = 4_096;
