import { randomUUID } from 'node:crypto';
import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { isWarmpoolError, WarmpoolError } from '../domain/errors.ts';
import type { Log } from '../observability/log.ts';
import type { Error as WireError } from './gen/warmpool/v1/Error.ts';
import { statusOf } from './status-codes.ts';
import { detailsKey, encodeStatusDetails } from './wire/status-details.ts';

/**
 * Status, message and details all travel in one HTTP/2 header block, and clients bound that (8 KiB is common): a
 * request with a thousand bad fields must not get an answer that its client cannot receive.
 */
const messageCharactersMax = 1_024;
const violationsMax = 16;
const fieldCharactersMax = 128;
const descriptionCharactersMax = 256;

/** What a call fails with. Anything but a WarmpoolError is a fault of ours and says nothing to the client. */
export function formatError(error: unknown, log: Log): StatusObject {
  const { code, message, details } = presentable(error, log);
  const status = statusOf[code];
  const text = bounded(message, messageCharactersMax);
  const metadata = new Metadata();
  const encoded = encodeStatusDetails({
    code: status,
    message: text,
    reason: code,
    metadata: boundedFacts(details.facts),
    violations: (details.violations ?? []).slice(0, violationsMax).map(({ field, description }) => ({
      field: bounded(field, fieldCharactersMax),
      description: bounded(description, descriptionCharactersMax),
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
    message: bounded(message, messageCharactersMax),
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
      .slice(0, violationsMax)
      .map(([name, value]) => [bounded(name, fieldCharactersMax), bounded(value, descriptionCharactersMax)]),
  );
}

/**
 * Cut to length, and well-formed: grpc-js passes the message to encodeURI, which throws on half a surrogate pair, and
 * such a half can come out of a request.
 */
function bounded(text: string, charactersMax: number): string {
  const cut = text.length > charactersMax ? `${text.slice(0, charactersMax - 1)}…` : text;
  return Buffer.from(cut, 'utf8').toString('utf8');
}
