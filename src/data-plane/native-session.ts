import { closeCodes } from '../../protocol/close-codes.ts';
import { encodeError } from '../../protocol/control-messages.ts';
import { encodeFrame, type Frame, parseFrame } from '../../protocol/frame.ts';
import { channelsMax, inputWindowBytes, payloadBytesMax, windowBytesDefault } from '../../protocol/limits.ts';
import {
  messageName,
  messageRule,
  messageTypes,
  misplaced,
  opensChannel,
  oversized,
} from '../../protocol/message-types.ts';
import { parsePayload } from '../../protocol/payload-parsers.ts';
import type { ResponderErrorCode } from '../../protocol/responder-error-codes.ts';
import { encodeLeaseNotice, encodeReady, type LeaseNotice } from '../../protocol/session-messages.ts';
import type { SandboxSession } from '../allocator/api.ts';
import type { Clock } from '../domain/clock.ts';
import { isWarmpoolError } from '../domain/errors.ts';
import type { Scope } from '../domain/scopes.ts';
import type { Log } from '../observability/log.ts';
import { ClientChannel } from './client-channel.ts';
import { ControlRequests, wireError } from './control-requests.ts';
import type { DataSocket } from './data-socket.ts';
import { LeaseNotices } from './lease-notices.ts';
import type { DataPlaneObserver } from './observer.ts';
import { Outgoing } from './outgoing.ts';
import { OutputBudget } from './output-budget.ts';
import { parseOpening } from './parse-opening.ts';
import { requestRule } from './request-rules.ts';
import type { SocketSession } from './socket-route.ts';

const { Ack, ChannelClose, Credit, Error: Refusal, ExecResize, ExecSignal, Input, InputEof } = messageTypes;
const { LeaseNotice: Notice, Ping, Pong, Ready } = messageTypes;

/**
 * One client's socket of the native protocol: protocol/README.md from section 3.2 on, the node's end. It owns the table
 * of channels, the connection's output budget, the notices of the lease and the time of the token.
 *
 *   open ──drain──▶ draining (opens nothing new) ──last channel ended, patience over──▶ closed
 *     └──the client's close, a broken rule, the end of the sandbox, of the token, or of the link──▶ closed
 *
 * Invariants: Ready is the first message; a channel's number is in the table from its request to its terminal frame;
 * nothing is kept for a client but what its output windows allow and the answers it asked for, and both wait in the
 * socket's bounded queue, so this file has no queue of its own; once closed, every channel of the guest was let go of.
 *
 * Turned down: a state machine for each kind of channel. The link checks the guest's frames by kind and the guest
 * checks the client's, so that in between only numbers, credit and scopes are left to know.
 */
export class NativeSession implements SocketSession {
  readonly #deps: NativeSessionDeps;
  readonly #socket: DataSocket;
  readonly #sandbox: SandboxSession;
  readonly #outgoing: Outgoing;
  readonly #channels = new Map<number, ClientChannel>();
  readonly #budget = new OutputBudget();
  readonly #requests: ControlRequests;
  readonly #notices: LeaseNotices;
  #cancelExpiry: () => void = () => {};
  #isDraining = false;
  #isClosed = false;

  constructor(socket: DataSocket, sandbox: SandboxSession, deps: NativeSessionDeps) {
    this.#deps = deps;
    this.#socket = socket;
    this.#sandbox = sandbox;
    this.#outgoing = new Outgoing(socket);
    this.#requests = new ControlRequests({
      sandbox,
      renewToken: () => this.#renewToken(),
      ack: (id, payload) => this.#send({ type: Ack.code, channel: 0, id, payload }),
      refuse: (id, code, message) => this.#refuse(0, id, code, message),
    });
    this.#sendReady();
    this.#notices = new LeaseNotices({
      clock: deps.clock,
      lease: () => sandbox.lease(),
      send: (notice) => this.#notify(notice),
    });
    this.#expireIn(deps.access.expiresInMs);
    sandbox.watch({
      onLease: (lease) => this.#notices.changed(lease),
      onEnd: ({ reason, failed }) => {
        this.#finish(failed ? closeCodes.failed : closeCodes.goingAway, reason);
      },
    });
  }

  onMessage(message: Uint8Array, isBinary: boolean): void {
    if (this.#isClosed) return;
    if (!isBinary) {
      this.#close(closeCodes.textMessage, 'text messages are not part of this protocol');
      return;
    }
    const frame = parseFrame(message);
    if ('error' in frame) this.#break(frame.error);
    else this.#onFrame(frame.value);
  }

  onDrain(): void {}

  onClose(): void {
    this.#release();
  }

  drain(): void {
    this.#isDraining = true;
    if (this.#channels.size === 0) this.end();
  }

  end(): void {
    this.#finish(closeCodes.goingAway, 'node_drained');
  }

  #onFrame(frame: Frame): void {
    const wrongSize = oversized(frame);
    if (wrongSize !== undefined) {
      this.#break(wrongSize);
      return;
    }
    const wrongPlace = misplaced(frame, 'requester', 'socket');
    if (wrongPlace !== undefined) this.#answerWrong(frame, 'unknown_message', wrongPlace);
    else if (opensChannel(frame.type)) this.#onOpening(frame);
    else if (messageRule(frame.type)?.channel === 'control') this.#onControl(frame);
    else this.#onChannel(frame);
  }

  #onControl(frame: Frame): void {
    if (frame.type === Pong.code) return;
    if (frame.type === Ping.code) {
      this.#send({ ...frame, type: Pong.code });
      return;
    }
    if (this.#isSound(frame) && this.#isAllowed(frame)) this.#requests.ask(frame);
  }

  #onOpening(frame: Frame): void {
    const { channel: number, id, type } = frame;
    if (this.#channels.has(number)) {
      this.#refuse(number, id, 'channel_in_use', `channel ${number} is open`);
      return;
    }
    const opening = parseOpening(type, frame.payload);
    if ('error' in opening) {
      this.#wrongPayload(frame, opening);
      return;
    }
    if (!this.#isAllowed(frame)) return;
    if (this.#isDraining) {
      this.#refuse(number, id, 'not_ready', 'the node drains: connect again');
      return;
    }
    if (this.#channels.size >= channelsMax) {
      this.#refuse(number, id, 'limit_exceeded', `${channelsMax} channels are open already`);
      return;
    }
    const askedWindow = opening.value.window ?? windowBytesDefault;
    const window = this.#budget.take(Math.min(askedWindow, windowBytesDefault));
    const use = requestRule(type)?.use === true;
    const client = {
      send: (message: Uint8Array) => this.#outgoing.send(message),
      used: () => this.#sandbox.used(),
      ended: (ended: ClientChannel) => this.#channelEnded(ended),
    };
    const channel = new ClientChannel(client, {
      number,
      request: type,
      requestId: id,
      window,
      askedWindow,
      use,
    });
    this.#channels.set(number, channel);
    this.#deps.observer.channelOpened(requestRule(type)?.scope ?? 'exec');
    try {
      const payload = opening.value.complete(this.#sandbox, window);
      if ('error' in payload) {
        this.#refuse(number, id, 'invalid_payload', payload.error);
        this.#channelEnded(channel);
        return;
      }
      channel.attach(this.#sandbox.guest.open(type, payload.value, channel, { windowBytes: window }));
      if (use) this.#sandbox.used();
    } catch (error) {
      if (!isWarmpoolError(error)) this.#deps.log.error({ err: error }, 'a channel could not be opened');
      const { code, message } = wireError(error);
      this.#refuse(number, id, code, message);
      this.#channelEnded(channel);
    }
  }

  /** What is for no open channel is dropped: it may have crossed the terminal frame. */
  #onChannel(frame: Frame): void {
    const { type, payload } = frame;
    const channel = this.#channels.get(frame.channel);
    if (type === Input.code) {
      const broken = channel?.input(payload);
      if (broken !== undefined) this.#break(broken);
    } else if (type === Credit.code) channel?.send(type, payload);
    else if (type === InputEof.code) channel?.inputEof();
    else if (type === ChannelClose.code) channel?.close();
    else if (type === ExecSignal.code || type === ExecResize.code) {
      if (!this.#isSound(frame)) return;
      if (channel && !channel.isProcess) {
        this.#answerWrong(frame, 'unknown_message', `${messageName(type)} on a channel without a process`);
      } else channel?.send(type, payload);
    }
  }

  /** Whether the payload is what its type says; otherwise it has been answered. */
  #isSound(frame: Frame): boolean {
    const parsed = parsePayload(frame.type, 'socket', frame.payload);
    if ('value' in parsed) return true;
    this.#wrongPayload(frame, parsed);
    return false;
  }

  #wrongPayload(frame: Frame, fault: { readonly error: string; readonly malformed?: true }): void {
    if (fault.malformed) this.#break(`${messageName(frame.type)}: ${fault.error}`);
    else this.#answerWrong(frame, 'invalid_payload', fault.error);
  }

  #isAllowed(frame: Frame): boolean {
    const scope = requestRule(frame.type)?.scope ?? null;
    if (scope === null || this.#deps.access.scopes.has(scope)) return true;
    this.#refuse(frame.channel, frame.id, 'forbidden', `the token lacks the scope "${scope}"`);
    return false;
  }

  /** An Error without an id of its own is, on an open channel, that channel's terminal frame: so it ends here as well. */
  #answerWrong(frame: Frame, code: ResponderErrorCode, message: string): void {
    this.#refuse(frame.channel, frame.id, code, message);
    const channel = this.#channels.get(frame.channel);
    if (!channel || frame.id !== 0) return;
    channel.letGo();
    this.#channelEnded(channel);
  }

  #refuse(channel: number, id: number, code: ResponderErrorCode, message: string): void {
    this.#send({ type: Refusal.code, channel, id, payload: encodeError({ code, message }) });
  }

  #channelEnded(channel: ClientChannel): void {
    const { number, window, request } = channel.options;
    if (this.#channels.get(number) !== channel) return;
    this.#channels.delete(number);
    this.#budget.giveBack(window);
    this.#deps.observer.channelEnded(requestRule(request)?.scope ?? 'exec');
    if (this.#isDraining && this.#channels.size === 0) this.end();
  }

  #renewToken(): { readonly token: string; readonly expiresInMs: number } {
    const renewed = this.#deps.access.renew();
    this.#expireIn(this.#deps.access.expiresInMs === null ? null : renewed.expiresInMs);
    return renewed;
  }

  /** null: the credential does not expire. */
  #expireIn(delayMs: number | null): void {
    this.#cancelExpiry();
    if (delayMs === null) return;
    this.#cancelExpiry = this.#deps.clock.after(delayMs, () => {
      this.#close(closeCodes.tokenEnded, 'the token has expired and was not renewed');
    });
  }

  #sendReady(): void {
    const { pingMs } = this.#deps;
    const payload = encodeReady({
      sandbox: this.#sandbox.record.id,
      lease: this.#sandbox.lease(),
      window: windowBytesDefault,
      inputWindow: this.#sandbox.guest.inputWindowBytes ?? inputWindowBytes,
      channelsMax,
      frameBytesMax: payloadBytesMax,
      pingMs,
    });
    // Not at once: what is sent inside of the open handler may meet the answer to the upgrade and cut the connection.
    this.#send({ type: Ready.code, channel: 0, id: 0, payload });
  }

  #notify(notice: LeaseNotice): void {
    this.#send({ type: Notice.code, channel: 0, id: 0, payload: encodeLeaseNotice(notice) });
  }

  #send(frame: Frame): void {
    if (!this.#isClosed) this.#outgoing.send(encodeFrame(frame));
  }

  #break(how: string): void {
    this.#deps.log.debug({ sandbox: this.#sandbox.record.id, violation: how }, 'a client broke the protocol');
    this.#close(closeCodes.protocolBroken, how);
  }

  /** The end that is not the client's doing: it is told why. */
  #finish(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#notify({ kind: 'ending', reason });
    this.#close(code, reason);
  }

  #close(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#outgoing.flush();
    this.#release();
    this.#socket.close(code, reason);
  }

  /** A lost socket abandons every channel it had. */
  #release(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelExpiry();
    this.#notices.stop();
    for (const channel of this.#channels.values()) {
      channel.letGo();
      this.#deps.observer.channelEnded(requestRule(channel.options.request)?.scope ?? 'exec');
    }
    this.#channels.clear();
    this.#sandbox.close();
  }
}

export interface NativeSessionDeps {
  readonly clock: Clock;
  readonly observer: DataPlaneObserver;
  readonly log: Log;
  readonly access: SessionAccess;
  /** As the socket pings. */
  readonly pingMs: number;
}

/** What the credential that opened the socket allows, and for how long. */
export interface SessionAccess {
  readonly scopes: ReadonlySet<Scope>;
  /** null: an API key, which does not expire. */
  readonly expiresInMs: number | null;
  renew(): { readonly token: string; readonly expiresInMs: number };
}
