import { WarmpoolError } from '../../domain/errors.ts';
import {
  type Customisation,
  type EndReason,
  endReasons,
  isExpiry,
  type Launch,
  type SandboxRecord,
  sandboxStates,
} from '../../domain/sandbox.ts';
import { hasLease } from '../leased-states.ts';

/** A hash as Redis returns it: field, value, field, value … */
export type FlatHash = readonly string[];

/**
 * Makes a record of what is stored. Whatever is missing or out of range is reported for this one sandbox, with the
 * field's name, so that a damaged record is neither trusted nor able to take others down with it.
 */
export function parseRecord(id: string, flat: FlatHash, nowMs: number): SandboxRecord {
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2)
    fields.set(flat[index] ?? '', flat[index + 1] ?? '');
  const reader = new FieldReader(id, fields);

  const state = reader.member('state', sandboxStates);
  const tenant = fields.get('tenant');
  const reason = fields.has('reason') ? reader.member<EndReason>('reason', endReasons) : undefined;
  return {
    id,
    pool: reader.text('pool'),
    specVersion: reader.text('spec'),
    state,
    launch: reader.member('launch', launches),
    nodeId: reader.text('node'),
    incarnation: reader.number('incarnation'),
    createdAtMs: reader.number('created'),
    ...(fields.has('ready') ? { readyAtMs: reader.number('ready') } : {}),
    ...(tenant === undefined ? {} : { claim: parseClaim(reader, tenant) }),
    ...(tenant !== undefined && hasLease(state) ? { lease: parseLease(reader, nowMs) } : {}),
    ...(reason === undefined ? {} : { endReason: reason }),
    ...(tenant !== undefined && isExpiry(reason) ? { expiredAtMs: reader.number('expires') } : {}),
    ...(fields.has('failure') ? { failure: reader.text('failure') } : {}),
  };
}

function parseClaim(reader: FieldReader, tenant: string): NonNullable<SandboxRecord['claim']> {
  return {
    tenant,
    claimId: reader.text('claim'),
    claimedAtMs: reader.number('claimed'),
    customisation: reader.customisation('custom'),
  };
}

function parseLease(reader: FieldReader, nowMs: number): NonNullable<SandboxRecord['lease']> {
  const expiresAtMs = reader.number('expires');
  return {
    expiresAtMs,
    remainingMs: Math.max(0, expiresAtMs - nowMs),
    ttlMs: reader.number('ttl'),
    endOfLifeMs: reader.number('eol'),
    onExpiry: reader.member('onexpiry', ['kill']),
  };
}

const launches: readonly Launch[] = ['warm', 'cold'];

export function formatCustomisation(customisation: Customisation): string {
  return JSON.stringify(customisation);
}

class FieldReader {
  readonly #id: string;
  readonly #fields: ReadonlyMap<string, string>;

  constructor(id: string, fields: ReadonlyMap<string, string>) {
    this.#id = id;
    this.#fields = fields;
  }

  text(name: string): string {
    const value = this.#fields.get(name);
    if (value === undefined) throw damagedRecord(this.#id, name);
    return value;
  }

  number(name: string): number {
    const text = this.text(name);
    const value = Number(text);
    if (text === '' || !Number.isSafeInteger(value)) throw damagedRecord(this.#id, name);
    return value;
  }

  member<Member extends string>(name: string, members: readonly Member[]): Member {
    const text = this.text(name);
    const member = members.find((candidate) => candidate === text);
    if (member === undefined) throw damagedRecord(this.#id, name);
    return member;
  }

  customisation(name: string): Customisation {
    const value = parseJsonObject(this.text(name));
    if (value === null || !isTextMap(value.env) || !isTextMap(value.metadata))
      throw damagedRecord(this.#id, name);
    const { env, metadata, user, cwd, resources } = value;
    return {
      env,
      metadata,
      ...(typeof user === 'string' ? { user } : {}),
      ...(typeof cwd === 'string' ? { cwd } : {}),
      ...(isNumberMap(resources) ? { resources } : {}),
    };
  }
}

export function damagedRecord(id: string, field: string): WarmpoolError {
  return new WarmpoolError('INTERNAL', `the stored record of this sandbox is damaged (${field})`, {
    facts: { id, field },
  });
}

export function parseJsonObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTextMap(value: unknown): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.values(value).every((entry) => typeof entry === 'string');
}

function isNumberMap(value: unknown): value is Readonly<Record<string, number>> {
  return isObject(value) && Object.values(value).every((entry) => typeof entry === 'number');
}
