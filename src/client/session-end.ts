import { closeCodes, isWorthAnotherTry } from '../../protocol/close-codes.ts';
import { WarmpoolClientError } from './warmpool-client-error.ts';

/** How the life of one socket came to its end, and whether another one may do better. */
export interface SessionEnd {
  readonly error: WarmpoolClientError;
  readonly isWorthAnotherTry: boolean;
}

/** The reasons of a LeaseNotice `ending` after which the sandbox goes on. */
const sandboxGoesOn: ReadonlySet<string> = new Set(['node_drained', 'link_lost']);

/** `endingReason` is that of the LeaseNotice before the close, if there was one. */
export function endOfClose(code: number, reason: string, endingReason: string | undefined): SessionEnd {
  const said = reason === '' ? '' : `: ${reason}`;
  switch (code) {
    case closeCodes.normal:
      return final('closed', 'the connection was closed', code);
    case closeCodes.goingAway:
      if (endingReason === undefined || sandboxGoesOn.has(endingReason)) {
        return passing('unavailable', `the node goes away${said}`, code);
      }
      return final('sandbox_ended', `the sandbox has ended: ${endingReason}`, code, endingReason);
    case closeCodes.failed:
      return passing('sandbox_failed', `the sandbox cannot be reached${said}`, code, endingReason);
    case closeCodes.overloaded:
      return passing('unavailable', `the node is overloaded, or its output was not read${said}`, code);
    case closeCodes.tokenEnded:
      return final('unauthenticated', `the token has expired or was revoked${said}`, code);
    case closeCodes.textMessage:
    case closeCodes.messageTooBig:
    case closeCodes.protocolBroken:
      return final('protocol_error', `the node says that this client broke the protocol${said}`, code);
    default:
      // Proxies end connections with codes of their own.
      if (isWorthAnotherTry(code) || code < firstApplicationCode) {
        return passing('connection_lost', `the connection broke (${code})${said}`, code);
      }
      return final('protocol_error', `the connection was closed with the unknown code ${code}${said}`, code);
  }
}

/** 3000 … 3999 belong to frameworks, 4000 and up to applications: whoever uses one means it. */
const firstApplicationCode = 3_000;

function final(code: string, message: string, status: number, reason?: string): SessionEnd {
  return end(code, message, false, status, reason);
}

function passing(code: string, message: string, status: number, reason?: string): SessionEnd {
  return end(code, message, true, status, reason);
}

function end(code: string, message: string, again: boolean, status: number, reason?: string): SessionEnd {
  const details = reason === undefined ? { status } : { status, reason };
  return { error: new WarmpoolClientError(code, message, { details }), isWorthAnotherTry: again };
}
