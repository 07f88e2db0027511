import { randomUUID } from 'node:crypto';
import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { isWarmpoolError, WarmpoolError } from '../domain/errors.ts';
import type { Log } from '../observability/log.ts';
import type { Error as WireError } from './gen/warmpool/v1/Error.ts';
import { statusOf } from './status-codes.ts';
import { detailsKey, encodeStatusDetails } from './wire/status-details.ts';

/**
 * Status, message and details all travel in one block of HTTP/2 headers, and clients bound that: 8 KiB in C and Java. A
 * request with a thousand bad fields must not get an answer that its client cannot receive. In base64, and with every
 * byte of the message percent-encoded, these limits add up to some 7 KiB.
 */
const messageBytesMax = 512;
const violationsMax = 8;
const fieldBytesMax = 96;
const descriptionBytesMax = 192;
const factsMax = 8;
const factNameBytesMax = 64;
const factBytesMax = 96;

/** What a call fails with. Anything but a WarmpoolError is a fault of ours and says nothing to the client. */
export function formatError(error: unknown, log: Log): StatusObject {
  const { code, message, details } = presentable(error, log);
  const status = statusOf[code];
  const text = bounded(message, messageBytesMax);
  const metadata = new Metadata();
  const encoded = encodeStatusDetails({
    code: status,
    message: text,
    reason: code,
    metadata: boundedFacts(details.facts),
    violations: (details.violations ?? []).slice(0, violationsMax).map(({ field, description }) => ({
      field: bounded(field, fieldBytesMax),
      description: bounded(description, descriptionBytesMax),
    })),
    ...(details.retryAfterMs !== undefined && { retryAfterMs: details.retryAfterMs }),
  });
  metadata.set(detailsKey, encoded);
  return { code: status, details: text, metadata };
}

/** The same facts inside a stream that goes on. */
export function formatStreamError(error: unknown, log: Log): WireError {
  const { code, message, details } = presentable(error, log);
  return {
    code: statusOf[code],
    reason: code,
    message: bounded(message, messageBytesMax),
    metadata: boundedFacts(details.facts),
  };
}

function presentable(error: unknown, log: Log): WarmpoolError {
  if (isWarmpoolError(error) && error.code !== 'INTERNAL') return error;
  const reference = randomUUID();
  log.error({ err: error, reference }, 'a call failed by a fault of the service');
  return new WarmpoolError('INTERNAL', `internal error; the service's log has it under ${reference}`, {
    facts: { reference },
  });
}

function boundedFacts(facts: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(facts)
      .slice(0, factsMax)
      .map(([name, value]) => [bounded(name, factNameBytesMax), bounded(value, factBytesMax)]),
  );
}

/**
 * Cut to length, and well-formed: grpc-js passes the message to encodeURI, which throws on half a surrogate pair, and
 * such a half can come out of a request.
 */
function bounded(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= bytesMax) return bytes.toString('utf8');
  let end = bytesMax - Buffer.byteLength('…');
  // Not in the middle of a character: its later bytes begin with 10.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return `${bytes.toString('utf8', 0, end)}…`;
}
