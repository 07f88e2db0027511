import type { FieldReader } from './field-reader.ts';
import {
  channelsMax,
  nonceBytes,
  payloadBytesMax,
  protocolVersion,
  u32Max,
  windowBytesMax,
} from './limits.ts';
import { encodeFixedMap, parseMap, present } from './map-message.ts';
import type { ParseResult } from './parse-result.ts';

/** The messages of protocol/README.md section 3: how either wire begins, and the lease of the sandbox behind it. */

export interface Hello {
  readonly nonce: Uint8Array;
  /** Output credit that a channel starts with. */
  readonly window: number;
}

export interface Welcome {
  readonly nonce: Uint8Array;
  /** Input credit that a channel starts with. */
  readonly window: number;
  readonly pid: number;
  readonly uid: number;
  readonly channelsMax: number;
}

export interface Ready {
  readonly sandbox: string;
  readonly lease: Lease;
  /** Output credit that a channel starts with, unless its request says less. */
  readonly window: number;
  readonly inputWindow: number;
  readonly channelsMax: number;
  readonly frameBytesMax: number;
  /** How often the node sends a WebSocket ping. */
  readonly pingMs: number;
}

/** Milliseconds from when it was sent. */
export interface Lease {
  readonly remainingMs: number;
  readonly ttlMs: number;
  readonly endOfLifeMs: number;
}

export const leaseNoticeKinds = ['expiring', 'renewed', 'ending'] as const;

export interface LeaseNotice {
  readonly kind: (typeof leaseNoticeKinds)[number];
  readonly lease?: Lease;
  /** In the words of SandboxState. */
  readonly reason?: string;
}

export interface KeepAlive {
  readonly ttlMs?: number;
}

export interface RenewedToken {
  readonly token: string;
  readonly expiresInMs: number;
}

export function encodeHello(hello: Hello): Uint8Array {
  return encodeFixedMap({ version: protocolVersion, nonce: hello.nonce, window: hello.window });
}

export function parseHello(payload: Uint8Array): ParseResult<Hello> {
  return parseMap(payload, (fields) => {
    readVersion(fields);
    return { nonce: fields.bytes('nonce', nonceBytes), window: readWindow(fields, 'window') };
  });
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  const { nonce, window, pid, uid } = welcome;
  return encodeFixedMap({
    version: protocolVersion,
    nonce,
    window,
    pid,
    uid,
    channels_max: welcome.channelsMax,
  });
}

export function parseWelcome(payload: Uint8Array): ParseResult<Welcome> {
  return parseMap(payload, (fields) => {
    readVersion(fields);
    return {
      nonce: fields.bytes('nonce', nonceBytes),
      window: readWindow(fields, 'window'),
      pid: fields.u32('pid'),
      uid: fields.u32('uid'),
      channelsMax: fields.integer('channels_max', 1, channelsMax),
    };
  });
}

export function encodeReady(ready: Ready): Uint8Array {
  return encodeFixedMap({
    version: protocolVersion,
    sandbox: ready.sandbox,
    lease: leaseMap(ready.lease),
    window: ready.window,
    input_window: ready.inputWindow,
    channels_max: ready.channelsMax,
    frame_bytes_max: ready.frameBytesMax,
    ping_ms: ready.pingMs,
  });
}

export function parseReady(payload: Uint8Array): ParseResult<Ready> {
  return parseMap(payload, (fields) => {
    readVersion(fields);
    return {
      sandbox: fields.text('sandbox'),
      lease: fields.map('lease', readLease),
      window: readWindow(fields, 'window'),
      inputWindow: readWindow(fields, 'input_window'),
      channelsMax: fields.integer('channels_max', 1, channelsMax),
      frameBytesMax: fields.integer('frame_bytes_max', 1, payloadBytesMax),
      pingMs: fields.integer('ping_ms', 1, u32Max),
    };
  });
}

export function encodeLeaseNotice(notice: LeaseNotice): Uint8Array {
  const { kind, lease, reason } = notice;
  return encodeFixedMap({ kind, lease: lease && leaseMap(lease), reason });
}

export function parseLeaseNotice(payload: Uint8Array): ParseResult<LeaseNotice> {
  return parseMap(payload, (fields) => ({
    kind: fields.choice('kind', leaseNoticeKinds),
    ...present({
      lease: fields.optional('lease', (key) => fields.map(key, readLease)),
      reason: fields.optional('reason', fields.text),
    }),
  }));
}

export function encodeKeepAlive(request: KeepAlive): Uint8Array {
  return encodeFixedMap({ ttl_ms: request.ttlMs });
}

export function parseKeepAlive(payload: Uint8Array): ParseResult<KeepAlive> {
  return parseMap(payload, (fields) => present({ ttlMs: fields.optional('ttl_ms', fields.u32) }));
}

/** The answer to KeepAlive. */
export function encodeLease(lease: Lease): Uint8Array {
  return encodeFixedMap(leaseMap(lease));
}

export function parseLease(payload: Uint8Array): ParseResult<Lease> {
  return parseMap(payload, readLease);
}

/** The answer to TokenRenew. */
export function encodeRenewedToken(renewed: RenewedToken): Uint8Array {
  return encodeFixedMap({ token: renewed.token, expires_in_ms: renewed.expiresInMs });
}

export function parseRenewedToken(payload: Uint8Array): ParseResult<RenewedToken> {
  return parseMap(payload, (fields) => ({
    token: fields.text('token'),
    expiresInMs: fields.u32('expires_in_ms'),
  }));
}

function leaseMap(lease: Lease): Readonly<Record<string, number>> {
  return {
    remaining_ms: lease.remainingMs,
    ttl_ms: lease.ttlMs,
    end_of_life_ms: lease.endOfLifeMs,
  };
}

function readLease(fields: FieldReader): Lease {
  return {
    remainingMs: fields.u64('remaining_ms'),
    ttlMs: fields.u64('ttl_ms'),
    endOfLifeMs: fields.u64('end_of_life_ms'),
  };
}

function readVersion(fields: FieldReader): void {
  fields.integer('version', protocolVersion, protocolVersion);
}

function readWindow(fields: FieldReader, key: string): number {
  return fields.integer(key, 1, windowBytesMax);
}
