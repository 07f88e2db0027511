import { channelKind } from '../../protocol/channel-kinds.ts';
import {
  type ChannelOpener,
  type ChannelReceiver,
  type OpenOptions,
  type RequesterChannel,
  ResponderError,
} from '../../protocol/channel-opener.ts';
import { closeCodes } from '../../protocol/close-codes.ts';
import { parseError } from '../../protocol/control-messages.ts';
import { encodeExecStart } from '../../protocol/exec-messages.ts';
import { type Frame, noPayload, parseFrame } from '../../protocol/frame.ts';
import { u32Max } from '../../protocol/limits.ts';
import { brokenRule, isTerminal, messageName, messageTypes } from '../../protocol/message-types.ts';
import { parseAckPayload, parseEndPayload, parsePayload } from '../../protocol/payload-parsers.ts';
import type { Ready } from '../../protocol/session-messages.ts';
import { parseLeaseNotice, parseReady } from '../../protocol/session-messages.ts';
import { Deferred } from '../deferred.ts';
import type { Clock } from '../domain/clock.ts';
import { assertThat, invalidRequest, WarmpoolError } from '../domain/errors.ts';
import { ExecChannel } from '../guest-link/exec-channel.ts';
import type { Guest, GuestCommand, GuestProcess, OutputSink } from '../guest-link/guest.ts';
import type { Log } from '../observability/log.ts';
import { PendingRequests } from '../socket-channels/pending-requests.ts';
import { SocketChannel } from '../socket-channels/socket-channel.ts';
import type { ChannelQueue } from './channel-queue.ts';
import type { HeldBytes } from './held-bytes.ts';
import { LinkOutbox } from './link-outbox.ts';
import { NodeChannel } from './node-channel.ts';
import { dialNode, type NodeSocket, type NodeTarget, nodeUnreachable } from './node-socket.ts';

const { Ack, ChannelClose, End, Error: Refusal, LeaseNotice, Ping, Pong, Ready: ReadyMessage } = messageTypes;

/**
 * A sandbox on another node, over one WebSocket to that node's data port: to those who use it the same as the link of a
 * sandbox of this process. It owns the socket, the numbers of its channels, and the requests on channel 0.
 *
 *   open(): upgrade ──▶ waits for Ready ──Ready──▶ open ──close, the node's close, loss, silence──▶ closed
 *
 * Invariants: nothing is sent before Ready; a frame that breaks a rule ends the link, and nothing of it reaches a
 * receiver; once closed, every channel and every request has been told. What is on the way is bounded by credit in both
 * directions, which the client and the guest give each other; what a slow node does not take waits in `LinkOutbox`, and a
 * node that says nothing any more is given up.
 *
 * Turned down: to pass the messages of a client's socket on as they come. The socket of the data port cannot stop
 * reading, so that only credit bounds what is in between; and a client's credential, scopes and lease are judged where
 * it is connected.
 */
export class NodeLink implements ChannelOpener, Pick<Guest, 'spawn'> {
  readonly closed: Promise<string>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #target: NodeTarget;
  readonly #closed = new Deferred<string>();
  readonly #readyArrived = new Deferred<void>();
  readonly #channels = new Map<number, OpenChannel>();
  readonly #requests = new PendingRequests((frame) => this.#send(frame));
  #socket: NodeSocket | null = null;
  #outbox: LinkOutbox | null = null;
  #ready: Ready | null = null;
  #closeReason: string | null = null;
  #endingReason = '';
  #heardSinceTick = true;
  #silentTicks = 0;
  #cancelTick: () => void = () => {};
  #lastChannel = 0;

  /**
   * Throws what the node refused with (SANDBOX_NOT_FOUND, CLAIM_CONFLICT, …), or NODE_UNREACHABLE; and the reason of the
   * signal, which says how long it may take.
   */
  static async open(deps: NodeLinkDeps, target: NodeTarget, signal: AbortSignal): Promise<NodeLink> {
    const first = await NodeLink.#dial(deps, target, signal);
    if (!first.isClosed) return first;
    // It broke between the upgrade and Ready, and has carried nothing: a second one may do.
    const second = await NodeLink.#dial(deps, target, signal);
    if (second.isClosed) throw second.#lost();
    return second;
  }

  /** Open, or closed before it was. */
  static async #dial(deps: NodeLinkDeps, target: NodeTarget, signal: AbortSignal): Promise<NodeLink> {
    const link = new NodeLink(deps, target);
    const events = {
      onMessage: (message: Uint8Array | null) => link.#onMessage(message),
      onClose: (code: number, reason: string) => link.#onClose(code, reason),
    };
    link.#connected(await dialNode(target, events, signal), deps.held);
    const giveUp = () => link.#giveUp('nobody waits for it any more');
    signal.addEventListener('abort', giveUp, { once: true });
    await Promise.race([link.#readyArrived.promise, link.closed]);
    signal.removeEventListener('abort', giveUp);
    signal.throwIfAborted();
    return link;
  }

  private constructor({ clock, log }: NodeLinkDeps, target: NodeTarget) {
    this.#clock = clock;
    this.#log = log;
    this.#target = target;
    this.closed = this.#closed.promise;
  }

  get isClosed(): boolean {
    return this.#closeReason !== null;
  }

  /** Why the node has ended it, in a word of its own (`node_drained`, `link_lost`); empty where it did not say. */
  get endingReason(): string {
    return this.#endingReason;
  }

  get inputWindowBytes(): number {
    return this.#opened().inputWindow;
  }

  async spawn(command: GuestCommand, output: OutputSink): Promise<GuestProcess> {
    const payload = encodeExecStart(command);
    if ('error' in payload) {
      throw invalidRequest([{ field: 'argv', description: `the command cannot be sent: ${payload.error}` }]);
    }
    const { window: windowBytes } = this.#opened();
    const open = (receiver: ChannelReceiver) =>
      this.open(messageTypes.ExecStart.code, payload.value, receiver);
    return new ExecChannel(command, { output, open }, { windowBytes }).started;
  }

  open(
    type: number,
    payload: Uint8Array,
    receiver: ChannelReceiver,
    options: OpenOptions = {},
  ): RequesterChannel {
    const ready = this.#opened();
    const kind = channelKind(type);
    assertThat(kind !== undefined, `${messageName(type)} opens no channel`);
    if (this.#channels.size >= ready.channelsMax) {
      throw new WarmpoolError('LIMIT_EXCEEDED', `the sandbox has ${ready.channelsMax} channels open already`);
    }
    const number = this.#freeNumber();
    const outputWindowBytes = Math.min(options.windowBytes ?? ready.window, ready.window);
    const socket = {
      inputWindowBytes: ready.inputWindow,
      send: (frame: Frame) => this.#send(frame),
      released: (ended: number) => void this.#channels.delete(ended),
    };
    let opened: SocketChannel | undefined;
    const channel = new NodeChannel(receiver, (counting) => {
      opened = new SocketChannel({ socket, receiver: counting }, { number, kind, outputWindowBytes });
      return opened;
    });
    assertThat(opened !== undefined, 'a channel opens its own in its constructor');
    this.#channels.set(number, {
      request: type,
      channel: opened,
      giveUp: () => channel.giveUp(),
      tellGivenUp: () => channel.tellGivenUp(),
    });
    this.#send({ type, channel: number, id: 0, payload });
    return channel;
  }

  async request(type: number, payload: Uint8Array): Promise<Uint8Array> {
    this.#opened();
    return this.#requests.ask(type, payload);
  }

  /** Says goodbye: nobody uses it any more. */
  close(): void {
    this.#socket?.close(closeCodes.normal);
    this.#finish('this process has closed the connection');
  }

  #opened(): Ready {
    if (this.#closeReason !== null) throw this.#lost();
    assertThat(this.#ready !== null, 'a link is used after its Ready');
    return this.#ready;
  }

  #connected(socket: NodeSocket, held: HeldBytes): void {
    this.#socket = socket;
    this.#outbox = new LinkOutbox({
      socket,
      held,
      onGivenUp: (number, unsent) => this.#channelGivenUp(number, unsent),
    });
    // What came with the upgrade may have ended it before there was a socket to close.
    if (this.isClosed) socket.abort();
  }

  #send(frame: Frame): void {
    if (this.#closeReason === null) this.#outbox?.send(frame);
  }

  /** Its receiver hears of it when whoever sends now has done, because that may be the receiver. */
  #channelGivenUp(number: number, unsent: ChannelQueue): void {
    const open = this.#channels.get(number);
    if (open === undefined) return;
    open.giveUp();
    const close = { type: ChannelClose.code, channel: number, id: 0, payload: noPayload };
    if (unsent.holds(open.request)) this.#channels.delete(number);
    else if (unsent.holds(close.type)) this.#send(close);
    const { sandboxId: sandbox, nodeId: node } = this.#target;
    this.#log.warn({ sandbox, node }, 'a channel was given up: its node takes nothing, and too much waits');
    queueMicrotask(() => {
      try {
        open.tellGivenUp();
      } catch (error) {
        this.#log.error({ err: error }, 'a receiver threw when its channel to a node was given up');
      }
    });
  }

  #onMessage(message: Uint8Array | null): void {
    if (this.#closeReason !== null) return;
    this.#heardSinceTick = true;
    try {
      const broken = message === null ? 'a text message' : this.#take(message);
      if (broken === undefined) return;
      this.#socket?.close(closeCodes.protocolBroken);
      this.#finish(`it broke the protocol: ${broken}`);
    } catch (error) {
      // A mistake of ours, met in the middle of a frame: what goes over this link is lost, and the process goes on.
      this.#log.error({ err: error }, 'a receiver of output threw; its connection to a node is closed');
      this.#giveUp('a receiver of output failed');
    }
  }

  /** Which rule the message breaks, if it does. */
  #take(message: Uint8Array): string | undefined {
    const parsed = parseFrame(message);
    if ('error' in parsed) return parsed.error;
    const frame = parsed.value;
    const broken = brokenRule(frame, 'responder', 'socket');
    if (broken !== undefined) return broken;
    if (this.#ready === null) return this.#takeReady(frame);
    if (frame.channel === 0) return this.#takeControl(frame);
    const open = this.#channels.get(frame.channel);
    if (!open) return `${messageName(frame.type)} on a channel that is not open`;
    return wrongPayload(frame, open.request) ?? open.channel.take(frame);
  }

  #takeReady(frame: Frame): string | undefined {
    if (frame.type !== ReadyMessage.code) return `${messageName(frame.type)} before Ready`;
    const ready = parseReady(frame.payload);
    if ('error' in ready) return `Ready: ${ready.error}`;
    this.#ready = ready.value;
    this.#planTick(Math.min(Math.max(ready.value.pingMs, pingMsMin), pingMsMax));
    this.#readyArrived.resolve();
    return undefined;
  }

  #takeControl(frame: Frame): string | undefined {
    if (frame.type === Ping.code) {
      if (this.#outbox?.isPaused === false) this.#send({ ...frame, type: Pong.code });
    } else if (frame.type === LeaseNotice.code) {
      const notice = parseLeaseNotice(frame.payload);
      if ('error' in notice) return `LeaseNotice: ${notice.error}`;
      if (notice.value.kind === 'ending') this.#endingReason = notice.value.reason ?? '';
    } else if (frame.type === Ack.code) {
      if (!this.#requests.answered(frame.id, frame.payload)) return 'an Ack that answers nothing';
    } else if (frame.type === Refusal.code) {
      const error = parseError(frame.payload);
      if ('error' in error) return `Error: ${error.error}`;
      const { code, message } = error.value;
      if (!this.#requests.refused(frame.id, new ResponderError(code, message)))
        return `Error ${code} for nothing`;
    } else if (frame.type !== Pong.code) return `${messageName(frame.type)} on the control channel`;
    return undefined;
  }

  /** A connection that broke without a word shows by its silence: two periods of it, with a question in each. */
  #planTick(periodMs: number): void {
    this.#cancelTick = this.#clock.after(periodMs, () => {
      this.#silentTicks = this.#heardSinceTick ? 0 : this.#silentTicks + 1;
      this.#heardSinceTick = false;
      if (this.#silentTicks >= 2) {
        this.#giveUp('nothing was heard of it for two ping periods');
        return;
      }
      this.#send({ type: Ping.code, channel: 0, id: 1, payload: noPayload });
      this.#planTick(periodMs);
    });
  }

  #onClose(code: number, reason: string): void {
    const said = reason === '' ? '' : `, ${JSON.stringify(reason.slice(0, 123))}`;
    this.#finish(`its node closed the connection (${code}${said})`);
  }

  #giveUp(why: string): void {
    this.#socket?.abort();
    this.#finish(why);
  }

  #finish(why: string): void {
    if (this.#closeReason !== null) return;
    this.#closeReason = why;
    this.#cancelTick();
    this.#outbox?.close();
    const error = this.#lost();
    this.#requests.lose(error);
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    for (const { channel } of channels) this.#lose(channel, error);
    this.#closed.resolve(why);
  }

  /** Every channel hears of the loss, whatever another's receiver makes of it. */
  #lose(channel: SocketChannel, error: Error): void {
    try {
      channel.lose(error);
    } catch (failure) {
      this.#log.error({ err: failure }, 'a receiver threw when its connection to a node was lost');
    }
  }

  #lost(): WarmpoolError {
    return nodeUnreachable(this.#target, this.#closeReason ?? 'the connection is not open');
  }

  /** Numbers come round after four thousand million channels; one that is still open is passed over. */
  #freeNumber(): number {
    do {
      this.#lastChannel = this.#lastChannel === u32Max ? 1 : this.#lastChannel + 1;
    } while (this.#channels.has(this.#lastChannel));
    return this.#lastChannel;
  }
}

export interface NodeLinkDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly held: HeldBytes;
}

interface OpenChannel {
  readonly request: number;
  readonly channel: SocketChannel;
  readonly giveUp: () => void;
  readonly tellGivenUp: () => void;
}

/** What a receiver reads is right before it has it, as on the link to a guest: a node that is wrong ends its own link. */
function wrongPayload({ type, payload }: Frame, request: number): string | undefined {
  if (type !== Ack.code && !isTerminal(type)) return undefined;
  const parsed =
    type === Ack.code
      ? parseAckPayload(request, payload)
      : type === End.code
        ? parseEndPayload(request, payload)
        : parsePayload(type, 'socket', payload);
  return 'error' in parsed ? `${messageName(type)}: ${parsed.error}` : undefined;
}

/** A node may not make the others spin. */
const pingMsMin = 100;
/** Nor may it have them wait for ever; what Node's timers cannot count is due at once, again and again. */
const pingMsMax = 60_000;
