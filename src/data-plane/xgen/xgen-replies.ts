import { type Frame, noPayload } from '../../../protocol/frame.ts';
import {
  encodeXgenAck,
  encodeXgenError,
  type XgenErrorCode,
  xgenTypes,
} from '../../../protocol/xgen-messages.ts';
import type { Log } from '../../observability/log.ts';
import type { XgenObserver } from './xgen-observer.ts';
import type { XgenOutlet } from './xgen-outlet.ts';

/** Why a frame is not followed. */
export interface XgenRefusal {
  readonly code: XgenErrorCode;
  readonly message: string;
}

/** A process as clients know it. */
export interface NamedProcess {
  readonly processId: number | undefined;
  readonly channel: number;
}

/**
 * Answers frames by the rules that keep published clients alive: they look at an id before they look at a type, and some
 * fail all their processes on an Error that they cannot place. So an Error repeats channel and id of its request, a frame
 * on channel 0 with id 0 never gets one, and what is sent to a process without an id is never answered at all.
 */
export class XgenReplies {
  readonly #outlet: Pick<XgenOutlet, 'send'>;
  readonly #log: Log;
  readonly #observer: Pick<XgenObserver, 'errorDropped'>;

  constructor(outlet: Pick<XgenOutlet, 'send'>, log: Log, observer: Pick<XgenObserver, 'errorDropped'>) {
    this.#outlet = outlet;
    this.#log = log;
    this.#observer = observer;
  }

  /** `process`: whose channel it is. Terminals decode every Ack on their channel, so that one is never empty there. */
  acknowledge({ channel, id }: Frame, process: NamedProcess | undefined): void {
    const payload =
      process?.processId === undefined ? noPayload : encodeXgenAck(process.processId, process.channel);
    this.#outlet.send({ type: xgenTypes.Ack, channel, id, payload });
  }

  refuse({ type, channel, id }: Frame, { code, message }: XgenRefusal): void {
    if (id === 0 && (channel === 0 || toProcess.has(type))) {
      this.#log.debug({ type: hexByte(type), code, reason: message }, 'xgen: a frame was refused');
      this.#observer.errorDropped();
      return;
    }
    this.#outlet.send({ type: xgenTypes.Error, channel, id, payload: encodeXgenError(code, message) });
  }
}

export function refusal(code: XgenErrorCode, message: string): XgenRefusal {
  return { code, message };
}

export function hexByte(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}

/** They are sent by the thousand, and an Error to one of them would end the client's process. */
const toProcess: ReadonlySet<number> = new Set([
  xgenTypes.ExecStdin,
  xgenTypes.ExecSignal,
  xgenTypes.ExecResize,
  xgenTypes.ChannelClose,
]);
