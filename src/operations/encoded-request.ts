import { ResponderError } from '../../protocol/channel-opener.ts';
import { present } from '../../protocol/map-message.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';

/** A request as the codec takes it: absent keys are absent, and the window has its wire name. */
export function onWire<T extends { readonly windowBytes?: number | undefined }>(request: T) {
  const { windowBytes, ...rest } = request;
  return present({ ...rest, window: windowBytes });
}

/** A request that the codec refuses is refused as the responder would: with `invalid_payload`, before it is sent. */
export function encoded(payload: ParseResult<Uint8Array>): Uint8Array {
  if ('value' in payload) return payload.value;
  throw new ResponderError('invalid_payload', payload.error);
}
