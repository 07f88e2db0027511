import protobuf from 'protobufjs';
import type { FieldViolation } from '../../domain/errors.ts';

/**
 * The `google.rpc.Status` that travels in `grpc-status-details-bin`: there is no official encoder for Node, so the few
 * messages of google/rpc/status.proto and error_details.proto that are used stand here, with their numbers.
 */
export interface StatusDetails {
  readonly code: number;
  readonly message: string;
  readonly reason?: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs?: number;
}

// protobufjs is CommonJS: its names are on the default import only.
const { Field, MapField, Type } = protobuf;
type Type = protobuf.Type;

export const detailsKey = 'grpc-status-details-bin';
export const errorDomain = 'warmpool.dev';

const duration = new Type('Duration')
  .add(new Field('seconds', 1, 'int64'))
  .add(new Field('nanos', 2, 'int32'));
const errorInfo = new Type('ErrorInfo')
  .add(new Field('reason', 1, 'string'))
  .add(new Field('domain', 2, 'string'))
  .add(new MapField('metadata', 3, 'string', 'string'));
const badRequest = new Type('BadRequest')
  .add(
    new Type('FieldViolation')
      .add(new Field('field', 1, 'string'))
      .add(new Field('description', 2, 'string'))
      .add(new Field('reason', 3, 'string')),
  )
  .add(new Field('fieldViolations', 1, 'FieldViolation', 'repeated'));
const retryInfo = new Type('RetryInfo').add(duration).add(new Field('retryDelay', 1, 'Duration'));
const rpcStatus = new Type('Status')
  .add(new Type('Any').add(new Field('typeUrl', 1, 'string')).add(new Field('value', 2, 'bytes')))
  .add(new Field('code', 1, 'int32'))
  .add(new Field('message', 2, 'string'))
  .add(new Field('details', 3, 'Any', 'repeated'));

export function encodeStatusDetails(status: StatusDetails): Buffer {
  const details = [];
  if (status.reason !== undefined) {
    const { reason, metadata } = status;
    details.push(packed('ErrorInfo', errorInfo, { reason, domain: errorDomain, metadata }));
  }
  if (status.violations.length > 0) {
    details.push(packed('BadRequest', badRequest, { fieldViolations: status.violations }));
  }
  if (status.retryAfterMs !== undefined) {
    const seconds = Math.floor(status.retryAfterMs / 1_000);
    const nanos = Math.round((status.retryAfterMs % 1_000) * 1e6);
    details.push(packed('RetryInfo', retryInfo, { retryDelay: { seconds, nanos } }));
  }
  return bytesOf(rpcStatus, { code: status.code, message: status.message, details });
}

/** Reads what `encodeStatusDetails` writes; other details, and reasons of other domains, are passed over. Throws on garbage. */
export function decodeStatusDetails(bytes: Uint8Array): StatusDetails {
  const status = objectOf<{
    code: number;
    message: string;
    details: { typeUrl: string; value: Uint8Array }[];
  }>(rpcStatus, bytes);
  const detail = <T>(type: Type): T | undefined => {
    const found = status.details.find((any) => any.typeUrl === typeUrl(type.name));
    return found && objectOf<T>(type, found.value);
  };
  const info = detail<{ reason: string; domain: string; metadata: Record<string, string> }>(errorInfo);
  const bad = detail<{ fieldViolations: FieldViolation[] }>(badRequest);
  const retry = detail<{ retryDelay: { seconds: number; nanos: number } | null }>(retryInfo)?.retryDelay;
  const ours = info?.domain === errorDomain ? info : undefined;
  return {
    code: status.code,
    message: status.message,
    ...(ours && { reason: ours.reason }),
    metadata: ours?.metadata ?? {},
    violations: (bad?.fieldViolations ?? []).map(({ field, description }) => ({ field, description })),
    ...(retry && { retryAfterMs: retry.seconds * 1_000 + retry.nanos / 1e6 }),
  };
}

function packed(name: string, type: Type, value: object): { typeUrl: string; value: Buffer } {
  return { typeUrl: typeUrl(name), value: bytesOf(type, value) };
}

function typeUrl(name: string): string {
  return `type.googleapis.com/google.rpc.${name}`;
}

function bytesOf(type: Type, value: object): Buffer {
  return Buffer.from(type.encode(type.fromObject(value)).finish());
}

function objectOf<T>(type: Type, bytes: Uint8Array): T {
  return type.toObject(type.decode(bytes), { defaults: true, longs: Number }) as T;
}
