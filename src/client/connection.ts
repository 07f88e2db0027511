import {
  type ChannelOpener,
  type ChannelReceiver,
  type OpenOptions,
  type RequesterChannel,
  ResponderError,
} from '../../protocol/channel-opener.ts';
import { encodeExecAttach, parseExecRequest } from '../../protocol/exec-messages.ts';
import { present as given } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import {
  encodeKeepAlive,
  type Lease,
  type LeaseNotice,
  parseLease,
} from '../../protocol/session-messages.ts';
import { Deferred } from '../deferred.ts';
import { abortable, pause } from './abortable.ts';
import { pauseMs, type ReconnectOptions, reconnectDefaults } from './backoff.ts';
import type { Dial } from './dial.ts';
import { Listeners } from './listeners.ts';
import { ResumableChannel, type ResumableOpening } from './resumable-channel.ts';
import type { SessionEnd } from './session-end.ts';
import { SocketSession } from './socket-session.ts';
import { renewTokens } from './token-renewal.ts';
import { WarmpoolClientError } from './warmpool-client-error.ts';

export interface ConnectionOptions {
  /** `ws_url` of the sandbox. */
  readonly url: string;
  /** The sandbox's data token, or in Node an API key. Absent for a node without authentication. */
  readonly token?: string | undefined;
  readonly reconnect?: ReconnectOptions | undefined;
}

export type ConnectionState =
  | { readonly state: 'idle' | 'connecting' | 'connected' }
  /** The connection broke, and the next one is tried in `pauseMs`. */
  | { readonly state: 'reconnecting'; readonly error: WarmpoolClientError; readonly pauseMs: number }
  | { readonly state: 'closed'; readonly error: WarmpoolClientError };

/**
 * One client's way to one sandbox, over as many WebSockets as it takes. Owns the present one, the pauses between two, the
 * token, and the channels that survive a change (ResumableChannel).
 *
 *   idle ──▶ connecting ──Ready──▶ connected ──lost──▶ reconnecting ──pause over──▶ connecting
 *                └── the first one failed, nothing to hope for, given up, close() ──▶ closed
 *
 * Invariants: at most one socket; what was opened on a lost socket and does not survive it has failed before the next
 * one opens; what survives is attached again before anything new can be opened; closed is for ever.
 *
 * Turned down: holding new requests back while there is no socket. Callers that want to wait do so with `ready`, which
 * an AbortSignal ends; a queue in here could be neither bounded nor emptied by them.
 */
export class DataConnection implements ChannelOpener, AsyncDisposable {
  readonly closed: Promise<string>;
  readonly #dial: Dial;
  readonly #url: string;
  readonly #reconnect: Readonly<Record<keyof ReconnectOptions, number>>;
  readonly #stop = new AbortController();
  readonly #end = new Deferred<WarmpoolClientError>();
  readonly #resumable = new Set<ResumableChannel>();
  readonly #states = new Listeners<ConnectionState>();
  readonly #notices = new Listeners<LeaseNotice>();
  #token: string | undefined;
  #state: ConnectionState = { state: 'idle' };
  #session: SocketSession | null = null;
  #connected = new Deferred<SocketSession>();
  #lease: { readonly lease: Lease; readonly atMs: number } | null = null;

  /** Does not connect yet: `ready` does. */
  constructor(deps: { readonly dial: Dial }, options: ConnectionOptions) {
    this.#dial = deps.dial;
    this.#url = options.url;
    this.#token = options.token;
    this.#reconnect = { ...reconnectDefaults, ...given(options.reconnect ?? {}) };
    this.closed = this.#end.promise.then(({ message }) => message);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Milliseconds to the node and back, of the last ping answered; null before the first. */
  get latencyMs(): number | null {
    return this.#session?.latencyMs ?? null;
  }

  /** As the node last told it, less the time since then. Null before the first connection. */
  get lease(): Lease | null {
    if (this.#lease === null) return null;
    const { lease, atMs } = this.#lease;
    const sinceMs = performance.now() - atMs;
    return {
      ...lease,
      remainingMs: Math.max(0, lease.remainingMs - sinceMs),
      endOfLifeMs: Math.max(0, lease.endOfLifeMs - sinceMs),
    };
  }

  /** The newest token, for whoever connects by themselves later. */
  get token(): string | undefined {
    return this.#token;
  }

  /** Returns what ends the listening. */
  onState(listener: (state: ConnectionState) => void): () => void {
    return this.#states.add(listener);
  }

  onLease(listener: (notice: LeaseNotice) => void): () => void {
    return this.#notices.add(listener);
  }

  /** Connects, or waits for the connection that is on its way. Rejects when there will be none, or with the signal's reason. */
  async ready(signal?: AbortSignal): Promise<void> {
    await this.#ready(signal);
  }

  /** Throws a WarmpoolClientError `connection_lost` while there is no connection: see `ready`. */
  open(
    type: number,
    payload: Uint8Array,
    receiver: ChannelReceiver,
    options?: OpenOptions,
  ): RequesterChannel {
    const session = this.#present();
    const opening = resumableOpening(type, payload);
    if (opening === null) return session.open(type, payload, receiver, options);
    const onEnd = () => void this.#resumable.delete(channel);
    const channel = new ResumableChannel({ receiver, onEnd }, opening, options);
    channel.begin(session.open(type, payload, channel, options));
    this.#resumable.add(channel);
    return channel;
  }

  /** Waits for a connection, and asks again on the next one: what is asked on channel 0 can be asked twice. */
  async request(type: number, payload: Uint8Array): Promise<Uint8Array> {
    for (;;) {
      const session = await this.#ready(undefined);
      try {
        return await session.request(type, payload);
      } catch (error) {
        if (error instanceof ResponderError || session === this.#session) throw error;
      }
    }
  }

  /** Milliseconds to the node and back, now. */
  async ping(signal?: AbortSignal): Promise<number> {
    const session = await this.#ready(signal);
    return await abortable(session.ping(), signal);
  }

  /** Renews the lease by `ttlMs`, or by its own ttl. */
  async keepAlive(ttlMs?: number, signal?: AbortSignal): Promise<Lease> {
    const payload = encodeKeepAlive(ttlMs === undefined ? {} : { ttlMs });
    const answer = await abortable(this.request(messageTypes.KeepAlive.code, payload), signal);
    const lease = parseLease(answer);
    if ('error' in lease)
      throw new WarmpoolClientError('protocol_error', `the node's answer: ${lease.error}`);
    this.#remember(lease.value);
    return lease.value;
  }

  /** Processes that were started to persist go on; everything else that is under way ends. */
  close(): void {
    this.#finish(new WarmpoolClientError('closed', 'the connection was closed'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #ready(signal: AbortSignal | undefined): Promise<SocketSession> {
    if (this.#state.state === 'closed') return Promise.reject(this.#state.error);
    if (this.#session !== null) return Promise.resolve(this.#session);
    if (this.#state.state === 'idle') void this.#live();
    return abortable(this.#connected.promise, signal);
  }

  #present(): SocketSession {
    if (this.#state.state === 'closed') throw this.#state.error;
    if (this.#session !== null) return this.#session;
    throw new WarmpoolClientError('connection_lost', 'there is no connection now');
  }

  /** From the first socket to the last. Never rejects. */
  async #live(): Promise<void> {
    let failures = 0;
    let connectedOnce = false;
    let lostAtMs = performance.now();
    while (!this.#isClosed) {
      const beganAtMs = performance.now();
      const end = await this.#liveOnOneSocket();
      if (this.#isClosed) return;
      if (end.wasConnected) {
        connectedOnce = true;
        lostAtMs = performance.now();
        // A node that takes connections only to cut them is no better than one that takes none.
        if (lostAtMs - beganAtMs > steadyMs) failures = 0;
      }
      const hopeless = connectedOnce ? !end.isWorthAnotherTry : !passingAtFirst.has(end.error.code);
      const { giveUpAfterMs } = this.#reconnect;
      const patienceMs = connectedOnce ? giveUpAfterMs : Math.min(firstPatienceMs, giveUpAfterMs);
      if (hopeless || performance.now() - lostAtMs >= patienceMs) {
        this.#finish(end.error);
        return;
      }
      const delayMs = pauseMs(failures, this.#reconnect);
      failures += 1;
      this.#become({ state: 'reconnecting', error: end.error, pauseMs: delayMs });
      await pause(delayMs, this.#stop.signal);
    }
  }

  async #liveOnOneSocket(): Promise<SessionEnd & { readonly wasConnected: boolean }> {
    this.#become({ state: 'connecting' });
    const listener = {
      onLease: (notice: LeaseNotice) => this.#onNotice(notice),
      onEnd: () => this.#onLost(),
    };
    const target = { url: this.#url, ...given({ credential: this.#token }) };
    let session: SocketSession;
    try {
      session = await SocketSession.open({ dial: this.#dial, listener }, target, this.#stop.signal);
    } catch (error) {
      return { ...endOfRefusal(error), wasConnected: false };
    }
    const stopRenewing = this.#onConnected(session);
    const end = await session.ended;
    stopRenewing();
    return { ...end, wasConnected: true };
  }

  /** Returns what ends the renewal of the token. */
  #onConnected(session: SocketSession): () => void {
    this.#remember(session.ready.lease);
    this.#session = session;
    for (const channel of [...this.#resumable]) {
      channel.resume((request, receiver) =>
        session.open(messageTypes.ExecAttach.code, encodeExecAttach(request), receiver, {
          ...given({ windowBytes: request.window }),
        }),
      );
    }
    const keepToken = (token: string) => {
      this.#token = token;
    };
    const stopRenewing = this.#token === undefined ? () => {} : renewTokens(session, keepToken);
    this.#become({ state: 'connected' });
    this.#connected.resolve(session);
    return stopRenewing;
  }

  /** Before the channels are told: what they do then must not meet the dead socket. */
  #onLost(): void {
    if (this.#session === null) return;
    this.#session = null;
    this.#connected = new Deferred();
  }

  #onNotice(notice: LeaseNotice): void {
    if (notice.lease !== undefined) this.#remember(notice.lease);
    this.#notices.tell(notice);
  }

  #remember(lease: Lease): void {
    this.#lease = { lease, atMs: performance.now() };
  }

  #become(state: ConnectionState): void {
    this.#state = state;
    this.#states.tell(state);
  }

  #finish(error: WarmpoolClientError): void {
    if (this.#isClosed) return;
    const session = this.#session;
    this.#become({ state: 'closed', error });
    this.#stop.abort(error);
    this.#connected.reject(error);
    // First those that would wait for another socket, then this one and all that is on it.
    for (const channel of [...this.#resumable]) if (channel.isAway) channel.fail(error);
    session?.close();
    for (const channel of [...this.#resumable]) channel.fail(error);
    this.#end.resolve(error);
  }

  get #isClosed(): boolean {
    return this.#state.state === 'closed';
  }
}

/** null for what ends with its socket. */
function resumableOpening(type: number, payload: Uint8Array): ResumableOpening | null {
  if (type === messageTypes.ExecAttach.code) return 'attach';
  // Most commands are not: one that is names the key, and only what names it is worth reading.
  if (type !== messageTypes.ExecStart.code || !names(payload, detachKey)) return null;
  const request = parseExecRequest(payload);
  if ('error' in request || request.value.detach !== true) return null;
  return { start: { isTerminal: request.value.tty !== undefined } };
}

function names(map: Uint8Array, key: Uint8Array): boolean {
  const [first = 0] = key;
  for (let at = map.indexOf(first); at !== -1; at = map.indexOf(first, at + 1)) {
    if (key.every((byte, index) => map[at + index] === byte)) return true;
  }
  return false;
}

/** As MessagePack writes a text of six bytes. */
const detachKey = new Uint8Array([0xa0 + 6, ...new TextEncoder().encode('detach')]);

/** Refusals before the upgrade: those that pass are worth another try. */
function endOfRefusal(error: unknown): SessionEnd {
  if (!(error instanceof WarmpoolClientError)) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      error: new WarmpoolClientError('unreachable', message, { cause: error }),
      isWorthAnotherTry: false,
    };
  }
  return { error, isWorthAnotherTry: passingRefusals.has(error.code) };
}

const passingRefusals: ReadonlySet<string> = new Set([
  'unreachable',
  'unavailable',
  'too_many_connections',
  'connection_lost',
  'sandbox_failed',
]);

/** A node is there, and could not take the very first connection. One that is not there will not come by waiting. */
const passingAtFirst: ReadonlySet<string> = new Set(['unavailable', 'connection_lost']);
/** A connection that lasted this long counts as a good one: the next pause is the first again. */
const steadyMs = 10_000;
/** A node that says "not now" to the first connection usually starts. */
const firstPatienceMs = 10_000;
