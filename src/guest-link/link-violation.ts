import type { Frame } from '../../protocol/frame.ts';
import { messageName } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';

/**
 * The guest broke the protocol. Thrown by whoever notices while a frame is handled and caught in one place, the link's
 * receiver, which closes the link: a forged or wrong frame ends its own sandbox and nothing else (HARDENING.md G2).
 */
export class LinkViolation extends Error {
  override readonly name = 'LinkViolation';
}

/** The payload's value, where anything but a value is the guest's fault. */
export function parsed<T>(frame: Frame, result: ParseResult<T>): T {
  if ('value' in result) return result.value;
  throw new LinkViolation(`${messageName(frame.type)} with a wrong payload: ${result.error}`);
}
