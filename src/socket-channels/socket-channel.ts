import type { ChannelKind } from '../../protocol/channel-kinds.ts';
import type { ChannelReceiver, RequesterChannel } from '../../protocol/channel-opener.ts';
import { parseCredit } from '../../protocol/control-messages.ts';
import { type Frame, noPayload } from '../../protocol/frame.ts';
import { parseMap } from '../../protocol/map-message.ts';
import { isTerminal, messageName, messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';

/** What a channel needs of the socket it is on. */
export interface ChannelSocket {
  /** Input that a channel may send before the first Credit. */
  readonly inputWindowBytes: number;
  send(frame: Frame): void;
  /** The channel's terminal frame came: its number is free. */
  released(channelNumber: number): void;
}

/**
 * One channel of one socket: its place in the life of protocol/README.md 4.1, and both credit accounts.
 *
 *   opening ──Ack──▶ open ──▶ ended          close(): `closing` in either, which drops all but the terminal frame
 *      └── Error, End ──────▶ ended
 *
 * Invariants: the receiver gets nothing after a terminal frame or a loss; the node never has more output on the way than
 * was granted; Input never passes what the node granted.
 */
export class SocketChannel implements RequesterChannel {
  readonly number: number;
  readonly #kind: ChannelKind;
  readonly #socket: ChannelSocket;
  readonly #receiver: ChannelReceiver;
  #state: 'opening' | 'open' | 'ended' = 'opening';
  #closing = false;
  #inputCredit = 0;
  #outputWindowBytes: number;
  /** What the node may still send. */
  #outputCredit = 0;

  constructor(
    deps: { readonly socket: ChannelSocket; readonly receiver: ChannelReceiver },
    options: { readonly number: number; readonly kind: ChannelKind; readonly outputWindowBytes: number },
  ) {
    this.#socket = deps.socket;
    this.#receiver = deps.receiver;
    this.number = options.number;
    this.#kind = options.kind;
    this.#outputWindowBytes = options.outputWindowBytes;
  }

  get inputCredit(): number {
    return this.#inputCredit;
  }

  get outputWindow(): number {
    return this.#outputWindowBytes;
  }

  send(type: number, payload: Uint8Array): void {
    if (this.#state === 'ended' || this.#closing) return;
    if (type === messageTypes.Input.code) this.#spendInput(payload.length);
    else if (type === messageTypes.Credit.code) this.#grantOutput(payload);
    this.#socket.send({ type, channel: this.number, id: 0, payload });
  }

  close(): void {
    if (this.#state === 'ended' || this.#closing) return;
    this.#closing = true;
    const { code: type } = messageTypes.ChannelClose;
    this.#socket.send({ type, channel: this.number, id: 0, payload: noPayload });
  }

  /** Takes one frame of the node's. Returns the sentence that says which rule it breaks, if it does. */
  take(frame: Frame): string | undefined {
    const broken = this.#brokenRule(frame);
    if (broken !== undefined) return `${messageName(frame.type)}: ${broken}`;
    if (isTerminal(frame.type)) {
      this.#state = 'ended';
      this.#socket.released(this.number);
      this.#receiver.onFrame(frame);
    } else if (!this.#closing) {
      this.#receiver.onFrame(frame);
    }
    return undefined;
  }

  /** The socket is gone. */
  lose(error: Error): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#receiver.onLost(error);
  }

  #brokenRule(frame: Frame): string | undefined {
    const code = frameCodes;
    switch (frame.type) {
      case code.Ack:
        return this.#state === 'opening' ? this.#opened(frame) : 'the request was answered before';
      case code.Error:
      case code.ChannelClose:
        return undefined;
      case code.End:
        if (this.#kind.process) return 'a process ends with ExecExit';
        return this.#state === 'open' || this.#kind.endsUnopened ? undefined : notAnswered;
    }
    if (this.#state === 'opening') return notAnswered;
    switch (frame.type) {
      case code.Output:
        return this.#kind.output ? this.#spendOutput(frame) : notOfThisKind;
      case code.ErrorOutput:
        return this.#kind.process ? this.#spendOutput(frame) : notOfThisKind;
      case code.ExecExit:
        return this.#kind.process ? undefined : notOfThisKind;
      case code.Credit:
        return this.#kind.input ? this.#grantInput(frame) : notOfThisKind;
      case code.OutputEof:
        return this.#kind.outputEof ? undefined : notOfThisKind;
      default:
        return notOfThisKind;
    }
  }

  #opened(frame: Frame): string | undefined {
    const window = parseWindow(frame.payload);
    if ('error' in window) return window.error;
    if (window.value !== null) this.#outputWindowBytes = Math.min(this.#outputWindowBytes, window.value);
    this.#outputCredit = this.#outputWindowBytes;
    this.#inputCredit = this.#kind.input ? this.#socket.inputWindowBytes : 0;
    this.#state = 'open';
    return undefined;
  }

  #spendOutput(frame: Frame): string | undefined {
    const { length } = frame.payload;
    if (length > this.#outputCredit) return `${length} bytes with a credit of ${this.#outputCredit}`;
    this.#outputCredit -= length;
    return undefined;
  }

  #grantInput(frame: Frame): string | undefined {
    const granted = parseCredit(frame.payload);
    if ('error' in granted) return granted.error;
    this.#inputCredit = Math.min(this.#inputCredit + granted.value, this.#socket.inputWindowBytes);
    return undefined;
  }

  #spendInput(length: number): void {
    if (length > this.#inputCredit) {
      throw new Error(`assertion failed: ${length} bytes of input with a credit of ${this.#inputCredit}`);
    }
    this.#inputCredit -= length;
  }

  #grantOutput(payload: Uint8Array): void {
    const granted = parseCredit(payload);
    if ('error' in granted) throw new Error(`assertion failed: a Credit is ${granted.error}`);
    this.#outputCredit = Math.min(this.#outputCredit + granted.value, this.#outputWindowBytes);
  }
}

const notAnswered = 'the request was not answered yet';
const notOfThisKind = 'not on a channel of this kind';

/** The codes of a channel's frames, for `switch`. */
const frameCodes = {
  Ack: messageTypes.Ack.code,
  Error: messageTypes.Error.code,
  ChannelClose: messageTypes.ChannelClose.code,
  End: messageTypes.End.code,
  Output: messageTypes.Output.code,
  ErrorOutput: messageTypes.ErrorOutput.code,
  ExecExit: messageTypes.ExecExit.code,
  Credit: messageTypes.Credit.code,
  OutputEof: messageTypes.OutputEof.code,
} as const;

/** The key that every Ack of a channel may have: a node lowers the window of its client with it. */
function parseWindow(payload: Uint8Array): ParseResult<number | null> {
  return parseMap(payload, (fields) => fields.optional('window', fields.window) ?? null);
}
