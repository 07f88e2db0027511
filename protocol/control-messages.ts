import { viewOf } from './frame.ts';
import { encodeFixedMap, encodeMap, parseMap } from './map-message.ts';
import type { ParseResult } from './parse-result.ts';
import { isResponderErrorCode, type ResponderErrorCode } from './responder-error-codes.ts';

/** What every channel and request has in common: Error, Credit, and a window in an Ack. */

export interface ErrorMessage {
  readonly code: ResponderErrorCode;
  readonly message: string;
}

/** A message that cannot be sent as it is, for its length or its characters, goes without: the code is what counts. */
export function encodeError(error: ErrorMessage): Uint8Array {
  const { code, message } = error;
  const payload = encodeMap({ code, message });
  return 'value' in payload ? payload.value : encodeFixedMap({ code, message: '' });
}

export function parseError(payload: Uint8Array): ParseResult<ErrorMessage> {
  return parseMap(payload, (fields) => {
    const code = fields.text('code');
    const message = fields.text('message');
    if (isResponderErrorCode(code)) return { code, message };
    fields.fail('code: not one of the known codes');
    return { code: 'spawn_failed' as const, message };
  });
}

export function encodeCredit(bytes: number): Uint8Array {
  const payload = new Uint8Array(4);
  viewOf(payload).setUint32(0, bytes);
  return payload;
}

export function parseCredit(payload: Uint8Array): ParseResult<number> {
  if (payload.length !== 4) return { error: 'not four bytes' };
  return { value: viewOf(payload).getUint32(0) };
}
