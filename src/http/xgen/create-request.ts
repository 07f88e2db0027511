import type { XgenVersion } from '../../data-plane/xgen/xgen-failure.ts';
import { xgenMetadataPrefix } from '../../data-plane/xgen/xgen-lifetime.ts';
import type { AskedResources } from '../../domain/pool-spec.ts';
import { type BodyReader, invalid, isObject } from './body-reader.ts';

/** A create, checked. */
export interface XgenCreate {
  readonly template: string;
  readonly timeoutMs: number;
  readonly env: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly ports: readonly number[];
  readonly resources: AskedResources;
}

/** Throws XgenFailure INVALID_PARAMETER for the first member that is wrong. */
export function readCreate(body: BodyReader, version: XgenVersion): XgenCreate {
  const create = {
    template: body.text('template', 'base'),
    timeoutMs: readTimeout(body, version),
    env: readEnv(body),
    metadata: readMetadata(body),
    ports: readPorts(body),
    resources: readResources(body),
  };
  if (body.boolean('gui')) throw invalid('gui', true, { reason: 'this server has no desktop template' });
  const [capability] = body.texts('capabilities');
  if (capability !== undefined) throw invalid('capabilities', capability, { reason: 'not offered here' });
  return create;
}

function readTimeout(body: BodyReader, version: XgenVersion): number {
  if (version === 'v2') {
    return body.integer('timeout_ms', 1_000, lifetimeSecondsMax * 1_000) ?? lifetimeSecondsDefault * 1_000;
  }
  return (body.integer('timeout_seconds', 1, lifetimeSecondsMax) ?? lifetimeSecondsDefault) * 1_000;
}

function readEnv(body: BodyReader): Readonly<Record<string, string>> {
  const env = body.textMap('env');
  const names = Object.keys(env);
  if (names.length > envEntriesMax) throw invalid('env', undefined, { max: envEntriesMax });
  for (const name of names) {
    const upper = name.toUpperCase();
    const reserved = envReserved.has(upper) || envPrefixesReserved.some((prefix) => upper.startsWith(prefix));
    if (reserved) throw invalid(`env.${name}`, undefined, { reason: 'this name is reserved' });
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw invalid(`env.${name}`, undefined, { reason: 'must be letters, digits and _, no digit first' });
    }
  }
  return env;
}

function readMetadata(body: BodyReader): Readonly<Record<string, string>> {
  const metadata = body.textMap('metadata');
  const entries = Object.entries(metadata);
  if (entries.length > metadataEntriesMax) throw invalid('metadata', undefined, { max: metadataEntriesMax });
  for (const [key, value] of entries) {
    if (key.length === 0 || key.length > 128)
      throw invalid('metadata', key, { reason: 'a key has 1 to 128 characters' });
    if (value.length > 1_024) throw invalid(`metadata.${key}`, undefined, { max: 1_024 });
    if (key.startsWith(xgenMetadataPrefix))
      throw invalid(`metadata.${key}`, undefined, { reason: 'reserved' });
  }
  return metadata;
}

function readPorts(body: BodyReader): readonly number[] {
  const ports = body.list('ports').map((port) => {
    if (typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
    throw invalid('ports', port, { min: 1, max: 65_535 });
  });
  if (new Set(ports).size < ports.length)
    throw invalid('ports', undefined, { reason: 'a port is there twice' });
  if (ports.length > portsMax) throw invalid('ports', undefined, { reason: `at most ${portsMax}` });
  return ports;
}

/** What is absent is the template's. Memory and disk are counted in whole MiB, so a part of one counts as one. */
function readResources(body: BodyReader): AskedResources {
  const value = body.value('resources');
  if (value === undefined) return {};
  if (!isObject(value)) throw invalid('resources', value, { reason: 'must be an object' });
  const { cpu, memory, disk, ...others } = value;
  for (const name of Object.keys(others)) body.ignore(`resources.${name}`);
  return {
    ...(isPresent(cpu) && { cpu: amount('cpu', cpu, cores(cpu), 0.01, 4, 'from "10m" to "4" cores') }),
    ...(isPresent(memory) && {
      memoryMb: amount('memory', memory, mebibytes(memory), 16, 4_096, 'from "16Mi" to "4Gi"'),
    }),
    ...(isPresent(disk) && {
      diskMb: amount('disk', disk, mebibytes(disk), 1, 65_536, 'from "1Mi" to "64Gi"'),
    }),
  };
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function amount(name: string, said: unknown, value: number, min: number, max: number, range: string): number {
  if (value >= min && value <= max) return value;
  throw invalid(`resources.${name}`, said, { reason: `must be a quantity ${range}` });
}

function mebibytes(value: unknown): number {
  return Math.ceil(bytesOf(value) / mebibyte);
}

/** NaN for what is no quantity above 0. */
function cores(value: unknown): number {
  if (typeof value === 'number') return value > 0 ? value : Number.NaN;
  const match = /^(\d+(?:\.\d+)?)(m?)$/.exec(String(value));
  const amount = match === null ? 0 : Number(match[1]) / (match[2] === 'm' ? 1_000 : 1);
  return amount > 0 ? amount : Number.NaN;
}

function bytesOf(value: unknown): number {
  const match = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|k|M|G)?$/.exec(typeof value === 'string' ? value : '');
  const bytes = match === null ? 0 : Number(match[1]) * (units[match[2] ?? ''] ?? 1);
  return bytes > 0 ? bytes : Number.NaN;
}

const mebibyte = 1_048_576;
const units: Readonly<Record<string, number>> = {
  Ki: 1_024,
  Mi: mebibyte,
  Gi: 1_073_741_824,
  k: 1e3,
  M: 1e6,
  G: 1e9,
};
const lifetimeSecondsDefault = 3_600;
export const lifetimeSecondsMax = 86_400;
const envEntriesMax = 50;
const envReserved: ReadonlySet<string> = new Set(['PATH', 'HOME', 'USER', 'SHELL']);
const envPrefixesReserved = ['KUBERNETES_', 'LD_', 'SANDBOX_'];
const metadataEntriesMax = 20;
/** They are kept with the sandbox as one piece of metadata. */
const portsMax = 128;
