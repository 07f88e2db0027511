import type { FieldReader } from './field-reader.ts';
import { listedPortsMax, u16Max } from './limits.ts';
import { encodeFixedMap, parseMap, present } from './map-message.ts';
import type { ParseResult } from './parse-result.ts';

/** The messages of protocol/README.md section 7. */

export interface PortWatch {
  readonly window?: number;
}

export interface PortConnect {
  readonly port: number;
  readonly window?: number;
}

/** A record of PortWatch. */
export interface PortRecord {
  readonly port: number;
  readonly open: boolean;
}

/** The answer to PortList, ascending. */
export function encodePortList(ports: readonly number[]): Uint8Array {
  return encodeFixedMap({ ports });
}

export function parsePortList(payload: Uint8Array): ParseResult<readonly number[]> {
  return parseMap(payload, (fields) => {
    const ports = fields.integers('ports', listedPortsMax, 1, u16Max);
    if (ports.some((port, index) => port <= (ports[index - 1] ?? 0))) fields.fail('ports: not ascending');
    return ports;
  });
}

export function encodePortWatch(request: PortWatch): Uint8Array {
  return encodeFixedMap({ window: request.window });
}

export function parsePortWatch(payload: Uint8Array): ParseResult<PortWatch> {
  return parseMap(payload, (fields) => present({ window: fields.optional('window', fields.window) }));
}

export function encodePortConnect(request: PortConnect): Uint8Array {
  return encodeFixedMap({ port: request.port, window: request.window });
}

export function parsePortConnect(payload: Uint8Array): ParseResult<PortConnect> {
  return parseMap(payload, (fields) => ({
    port: readPort(fields),
    ...present({ window: fields.optional('window', fields.window) }),
  }));
}

export function encodePortRecord(record: PortRecord): Uint8Array {
  return encodeFixedMap({ port: record.port, open: record.open });
}

export function parsePortRecord(payload: Uint8Array): ParseResult<PortRecord> {
  return parseMap(payload, (fields) => ({ port: readPort(fields), open: fields.boolean('open') }));
}

function readPort(fields: FieldReader): number {
  return fields.integer('port', 1, u16Max);
}
