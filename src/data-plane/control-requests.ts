import { ResponderError } from '../../protocol/channel-opener.ts';
import type { Frame } from '../../protocol/frame.ts';
import { pendingRequestsMax } from '../../protocol/limits.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { isResponderErrorCode, type ResponderErrorCode } from '../../protocol/responder-error-codes.ts';
import { encodeLease, encodeRenewedToken, parseKeepAlive } from '../../protocol/session-messages.ts';
import type { SandboxSession } from '../allocator/api.ts';
import { isWarmpoolError } from '../domain/errors.ts';

const { KeepAlive, TokenRenew } = messageTypes;

export interface ControlRequestsDeps {
  readonly sandbox: SandboxSession;
  readonly renewToken: () => { readonly token: string; readonly expiresInMs: number };
  readonly ack: (id: number, payload: Uint8Array) => void;
  readonly refuse: (id: number, code: ResponderErrorCode, message: string) => void;
}

/** What one client asks on channel 0: each gets one answer, and so many may wait for theirs at a time. */
export class ControlRequests {
  readonly #deps: ControlRequestsDeps;
  #pending = 0;

  constructor(deps: ControlRequestsDeps) {
    this.#deps = deps;
  }

  /** The frame's payload has been checked, and the caller's scope. */
  ask(frame: Frame): void {
    const { id, type } = frame;
    const { refuse } = this.#deps;
    if (id === 0) {
      refuse(0, 'invalid_payload', 'id: a request on channel 0 has one other than 0');
      return;
    }
    if (this.#pending >= pendingRequestsMax) {
      refuse(id, 'limit_exceeded', `${pendingRequestsMax} requests wait for their answer already`);
      return;
    }
    this.#pending += 1;
    this.#answer(type, frame.payload)
      .then((payload) => this.#deps.ack(id, payload))
      .catch((error: unknown) => {
        const { code, message } = wireError(error);
        refuse(id, code, message);
      })
      .finally(() => {
        this.#pending -= 1;
      });
  }

  async #answer(type: number, payload: Uint8Array): Promise<Uint8Array> {
    const { sandbox, renewToken } = this.#deps;
    if (type === TokenRenew.code) return encodeRenewedToken(renewToken());
    if (type === KeepAlive.code) {
      const request = parseKeepAlive(payload);
      const ttlMs = 'value' in request ? request.value.ttlMs : undefined;
      return encodeLease(await sandbox.keepAlive(ttlMs ?? null));
    }
    // The others ask the guest, with nothing in the question but its type.
    return sandbox.guest.request(type, emptyMap);
  }
}

/** What went wrong, in the words of section 9. */
export function wireError(error: unknown): { readonly code: ResponderErrorCode; readonly message: string } {
  if (error instanceof ResponderError && isResponderErrorCode(error.code)) {
    return { code: error.code, message: error.message };
  }
  if (!isWarmpoolError(error)) return { code: 'not_ready', message: 'the request could not be answered' };
  const { code, message } = error;
  if (code === 'INVALID_REQUEST') return { code: 'invalid_payload', message };
  if (code === 'LIMIT_EXCEEDED') return { code: 'limit_exceeded', message };
  return { code: 'not_ready', message };
}
