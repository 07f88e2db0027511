import { type FieldViolation, invalidRequest } from '../domain/errors.ts';
import * as limits from '../domain/limits.ts';
import type { AskedResources } from '../domain/pool-spec.ts';
import type { CreateRequest, ExecRequest, ListRequest, SpawnRequest } from './api.ts';

/**
 * Checks every value of a request at once and throws INVALID_REQUEST with one violation for each bad field. Nothing is
 * clamped or dropped: what is over a limit is refused with the limit in the sentence.
 */
export function assertCreateRequest(request: CreateRequest): void {
  const check = new Violations();
  check.text('template', request.template, 1, 63);
  if (request.timeoutMs !== undefined) check.leaseTtl('timeout', request.timeoutMs);
  check.environment(request.env);
  check.metadata(request.metadata);
  if (request.user !== undefined) check.text('user', request.user, 1, limits.userBytesMax);
  if (request.cwd !== undefined) check.workingDirectory(request.cwd);
  if (request.resources !== undefined) check.resources(request.resources);
  if (request.requestId !== undefined) check.requestId(request.requestId);
  if (request.waitMs !== undefined) {
    if (request.onMiss !== undefined && request.onMiss !== 'wait') {
      check.add('wait', 'goes with on_miss WAIT only');
    }
    if (!(request.waitMs > 0 && request.waitMs <= waitMsMax)) {
      check.add('wait', `must be above 0 and at most ${waitMsMax / 1_000} s`);
    }
  }
  const bytes = Buffer.byteLength(JSON.stringify([request.env, request.metadata]));
  if (bytes > limits.customisationBytesMax) {
    check.add(
      'env',
      `env and metadata take ${bytes} bytes together; at most ${limits.customisationBytesMax}`,
    );
  }
  check.throwIfAny();
}

export function assertListRequest(request: ListRequest): void {
  const check = new Violations();
  const { pageSize } = request;
  if (
    pageSize !== undefined &&
    !(Number.isInteger(pageSize) && pageSize >= 1 && pageSize <= limits.listPageSizeMax)
  ) {
    check.add(
      'page_size',
      `must be 1 to ${limits.listPageSizeMax}; 0 or absent means ${limits.listPageSizeDefault}`,
    );
  }
  check.throwIfAny();
}

export function assertRenewal(field: 'ttl' | 'timeout', ttlMs: number): void {
  const check = new Violations();
  check.leaseTtl(field, ttlMs);
  check.throwIfAny();
}

export function assertSpawnRequest(request: SpawnRequest): void {
  const check = new Violations();
  checkCommand(check, request);
  check.throwIfAny();
}

export function assertExecRequest(request: ExecRequest): void {
  const check = new Violations();
  checkCommand(check, { ...request, stdin: true });
  if (request.stdin.length > limits.execStdinBytesMax) {
    check.add('stdin', `at most ${limits.execStdinBytesMax} bytes; stream more with ExecStream`);
  }
  const limit = request.outputLimitBytes;
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 0 && limit <= limits.execOutputBytesMax)) {
    check.add('output_limit_bytes', `at most ${limits.execOutputBytesMax}; stream more with ExecStream`);
  }
  check.throwIfAny();
}

function checkCommand(check: Violations, request: SpawnRequest): void {
  if (request.argv.length === 0) check.add('argv', 'must name a command');
  if (request.argv.length > limits.argvEntriesMax) {
    check.add('argv', `has ${request.argv.length} entries; at most ${limits.argvEntriesMax}`);
  }
  for (const [index, argument] of request.argv.entries()) {
    if (argument.includes('\0')) check.add(`argv[${index}]`, 'must not contain a NUL character');
  }
  if (request.argv[0] === '') check.add('argv[0]', 'must not be empty');
  check.environment(request.env);
  if (request.cwd !== undefined) check.workingDirectory(request.cwd);
  if (request.user !== undefined) check.text('user', request.user, 1, limits.userBytesMax);
  const timeoutMs = request.timeoutMs;
  if (timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs <= limits.execTimeoutMsMax)) {
    check.add('timeout', `must be above 0 and at most ${limits.execTimeoutMsMax / 3_600_000} h`);
  }
}

class Violations {
  readonly #found: FieldViolation[] = [];

  add(field: string, description: string): void {
    this.#found.push({ field, description });
  }

  throwIfAny(): void {
    if (this.#found.length > 0) throw invalidRequest(this.#found);
  }

  text(field: string, value: string, bytesMin: number, bytesMax: number): void {
    const bytes = Buffer.byteLength(value);
    if (bytes < bytesMin) this.add(field, 'must not be empty');
    else if (bytes > bytesMax) this.add(field, `is ${bytes} bytes long; at most ${bytesMax}`);
    else if (value.includes('\0')) this.add(field, 'must not contain a NUL character');
  }

  requestId(value: string): void {
    this.text('request_id', value, 1, limits.requestIdBytesMax);
    if (!printable.test(value)) this.add('request_id', 'must be printable ASCII without spaces');
  }

  leaseTtl(field: string, ttlMs: number): void {
    if (!(ttlMs >= limits.leaseTtlMsMin && ttlMs <= limits.leaseTtlMsMax)) {
      const [least, most] = [limits.leaseTtlMsMin / 1_000, limits.leaseTtlMsMax / 1_000];
      this.add(field, `must be ${least} s to ${most} s`);
    }
  }

  resources({
    cpu = limits.cpuMin,
    memoryMb = limits.memoryMbMin,
    diskMb = limits.diskMbMin,
  }: AskedResources): void {
    this.#amount('resources.cpu', cpu, limits.cpuMin, limits.cpuMax);
    this.#amount('resources.memory_mb', memoryMb, limits.memoryMbMin, limits.memoryMbMax);
    this.#amount('resources.disk_mb', diskMb, limits.diskMbMin, limits.diskMbMax);
    for (const [name, value] of Object.entries({ memory_mb: memoryMb, disk_mb: diskMb })) {
      if (!Number.isInteger(value)) this.add(`resources.${name}`, 'must be a whole number');
    }
  }

  workingDirectory(cwd: string): void {
    this.text('cwd', cwd, 1, limits.cwdBytesMax);
    if (cwd !== '' && !cwd.startsWith('/')) this.add('cwd', 'must be an absolute path');
  }

  environment(env: Readonly<Record<string, string>>): void {
    this.#entries('env', env, limits.envEntriesMax, limits.envNameBytesMax, limits.envValueBytesMax);
    for (const name in env) {
      if (!environmentName.test(name))
        this.add(`env.${name}`, 'name must be letters, digits and _, no digit first');
    }
  }

  metadata(metadata: Readonly<Record<string, string>>): void {
    const { metadataEntriesMax, metadataKeyBytesMax, metadataValueBytesMax } = limits;
    this.#entries('metadata', metadata, metadataEntriesMax, metadataKeyBytesMax, metadataValueBytesMax);
    for (const key in metadata) {
      if (key.startsWith(limits.reservedMetadataPrefix)) {
        this.add(`metadata.${key}`, `keys that begin with "${limits.reservedMetadataPrefix}" are reserved`);
      }
    }
  }

  #amount(field: string, value: number, min: number, max: number): void {
    if (!(value >= min && value <= max)) this.add(field, `must be ${min} to ${max}`);
  }

  #entries(
    field: string,
    entries: Readonly<Record<string, string>>,
    countMax: number,
    nameBytesMax: number,
    valueBytesMax: number,
  ): void {
    let count = 0;
    for (const name in entries) {
      count += 1;
      const value = entries[name] ?? '';
      if (name === '') this.add(field, 'has an empty name');
      // The length in UTF-16 units bounds the bytes from below and, times three, from above.
      else if (name.length > nameBytesMax) this.add(field, `has a name over ${nameBytesMax} bytes`);
      else if (value.length * 3 > valueBytesMax && Buffer.byteLength(value) > valueBytesMax) {
        this.add(`${field}.${name}`, `value is over ${valueBytesMax} bytes`);
      } else if (value.includes('\0')) this.add(`${field}.${name}`, 'must not contain a NUL character');
    }
    if (count > countMax) this.add(field, `has ${count} entries; at most ${countMax}`);
  }
}

const environmentName = /^[A-Za-z_][A-Za-z0-9_]*$/;
const printable = /^[\x21-\x7e]*$/;
/** A waiting create holds a call open; longer waits belong to the client's retry. */
const waitMsMax = 300_000;
