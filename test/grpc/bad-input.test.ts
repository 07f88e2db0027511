import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceError } from '@grpc/grpc-js';
import type { Duration } from '../../src/grpc/gen/google/protobuf/Duration.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';
import { type Failure, failureOf, RawClients, streamFailure } from '../support/grpc-raw.ts';

const { address, allocator, client } = await grpcFixture();
const raw = new RawClients(address);
test.after(() => raw.sandboxes.close());
const { id } = await client.create('base');

type Send = (done: (error: ServiceError | null) => void) => unknown;

const badDurations: Readonly<Record<string, Duration>> = {
  negative: { seconds: -1 },
  'negative nanos': { nanos: -1 },
  'mixed signs': { seconds: 1, nanos: -1 },
  'too many nanos': { seconds: 1, nanos: 1_000_000_000 },
  absurd: { seconds: 315_576_000_001 },
  'beyond 2^53': { seconds: '9223372036854775807' },
  'as negative as can be': { seconds: '-9223372036854775808' },
};

for (const [name, duration] of Object.entries(badDurations)) {
  test(`a duration that is ${name} is refused by its field, wherever it stands`, async () => {
    const sends: Readonly<Record<string, Send>> = {
      timeout: (done) => raw.sandboxes.createSandbox({ template: 'base', timeout: duration }, done),
      wait: (done) => raw.sandboxes.createSandbox({ template: 'base', wait: duration }, done),
      ttl: (done) => raw.sandboxes.keepAlive({ id, ttl: duration }, done),
      'timeout ': (done) => raw.sandboxes.setTimeout({ id, timeout: duration }, done),
      'timeout  ': (done) => raw.commands.exec({ sandboxId: id, argv: ['true'], timeout: duration }, done),
    };
    for (const [field, send] of Object.entries(sends)) {
      assertRefused(await failureOf(send), field.trim());
    }
  });
}

test('a duration is rounded up to the millisecond, and 10,000 years are the allocator’s to refuse', async () => {
  await new Promise((resolve) =>
    raw.sandboxes.createSandbox({ template: 'base', timeout: { seconds: 1, nanos: 1 } }, resolve),
  );
  assert.equal(allocator.creates.at(-1)?.timeoutMs, 1_001);
  await new Promise((resolve) =>
    raw.sandboxes.createSandbox({ template: 'base', timeout: { seconds: 315_576_000_000 } }, resolve),
  );
  assert.equal(allocator.creates.at(-1)?.timeoutMs, 315_576_000_000_000);
});

const requests: Readonly<Record<string, { readonly send: Send; readonly fields: readonly string[] }>> = {
  'an empty template': {
    send: (done) => raw.sandboxes.createSandbox({}, done),
    fields: ['template'],
  },
  'two bad fields at once': {
    send: (done) =>
      raw.sandboxes.createSandbox({ template: 'base', timeout: { seconds: -1 }, wait: { nanos: -5 } }, done),
    fields: ['timeout', 'wait'],
  },
  'an on_miss that nobody knows': {
    send: (done) => raw.sandboxes.createSandbox({ template: 'base', onMiss: 77 as 0 }, done),
    fields: ['on_miss'],
  },
  'no id to get': { send: (done) => raw.sandboxes.getSandbox({}, done), fields: ['id'] },
  'no id to delete': { send: (done) => raw.sandboxes.deleteSandbox({}, done), fields: ['id'] },
  'no id to keep alive': { send: (done) => raw.sandboxes.keepAlive({}, done), fields: ['id'] },
  'neither id nor timeout': {
    send: (done) => raw.sandboxes.setTimeout({}, done),
    fields: ['id', 'timeout'],
  },
  'states that are none': {
    send: (done) =>
      raw.sandboxes.listSandboxes(
        { states: ['SANDBOX_STATE_RUNNING', 'SANDBOX_STATE_UNSPECIFIED', 99 as 0] },
        done,
      ),
    fields: ['states[1]', 'states[2]'],
  },
  'no sandbox to run in': {
    send: (done) => raw.commands.exec({ argv: ['true'] }, done),
    fields: ['sandbox_id'],
  },
  'a negative output limit': {
    send: (done) => raw.commands.exec({ sandboxId: id, argv: ['true'], outputLimitBytes: -1 }, done),
    fields: ['output_limit_bytes'],
  },
  'no pool to get': { send: (done) => raw.pools.getPool({}, done), fields: ['name'] },
  'a scale that says nothing': {
    send: (done) => raw.pools.scalePool({ name: 'base' }, done),
    fields: ['min_ready'],
  },
  'negative sizes': {
    send: (done) => raw.pools.scalePool({ name: 'base', minReady: -1, maxReady: -2, maxTotal: -3 }, done),
    fields: ['min_ready', 'max_ready', 'max_total'],
  },
};

for (const [name, { send, fields }] of Object.entries(requests)) {
  test(`${name}: refused, naming ${fields.join(' and ')}`, async () => {
    assertRefused(await failureOf(send), ...fields);
  });
}

test('a renewal with a bad ttl is refused inside its stream', async () => {
  const stream = raw.sandboxes.keepAliveStream();
  stream.write({ id, ttl: { seconds: -1 } });
  stream.end();
  for await (const response of stream) {
    assert.equal(response.id, id);
    assert.equal(response.error?.reason, 'INVALID_REQUEST');
    assert.match(response.error?.message ?? '', /ttl: must not be negative/);
  }
});

test('ExecStream refuses what comes in the wrong order, and kills what it had started', async () => {
  const start = { start: { sandboxId: id, argv: ['hang'] } };
  const noStdin = { start: { sandboxId: id, argv: ['hang'], noStdin: true } };
  const orders = [
    { messages: [{ stdin: Buffer.from('x') }], field: 'start' },
    { messages: [{ eof: {} }], field: 'start' },
    { messages: [{}], field: 'start' },
    { messages: [], field: 'start' },
    { messages: [{ start: {} }], field: 'sandbox_id' },
    { messages: [start, start], field: 'start' },
    { messages: [start, {}], field: 'message' },
    { messages: [start, { signal: 0 }], field: 'signal' },
    { messages: [start, { signal: 65 }], field: 'signal' },
    { messages: [start, { signal: -9 }], field: 'signal' },
    { messages: [noStdin, { stdin: Buffer.from('x') }], field: 'stdin' },
  ];
  for (const { messages, field } of orders) {
    const before = allocator.processes.length;
    const stream = raw.commands.execStream();
    const failed = streamFailure(stream);
    for (const message of messages) stream.write(message);
    stream.end();
    assertRefused(await failed, field);
    for (const process of allocator.processes.slice(before))
      assert.deepEqual((await process.exited).signal, 9);
  }
});

test('names that mean something to JavaScript are names like any other', async () => {
  const made = await client.create('base', { metadata: { constructor: 'c', toString: 's' } });
  assert.deepEqual(made.metadata, { constructor: 'c', toString: 's' });
  const request = Buffer.concat([
    Buffer.from([10, 4]),
    Buffer.from('base'),
    // metadata {key: "__proto__", value: "p"}
    Buffer.from([34, 14, 10, 9]),
    Buffer.from('__proto__'),
    Buffer.from([18, 1]),
    Buffer.from('p'),
  ]);
  const response = await new Promise<unknown>((resolve, reject) =>
    raw.sandboxes.makeUnaryRequest(
      '/warmpool.v1.SandboxService/CreateSandbox',
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      request,
      (error: ServiceError | null, bytes?: Buffer) => (error ? reject(error) : resolve(bytes)),
    ),
  );
  assert.ok(response instanceof Buffer);
  const metadata = allocator.creates.at(-1)?.metadata ?? {};
  assert.deepEqual(Object.entries(metadata), [['__proto__', 'p']]);
  assert.equal(({} as Record<string, unknown>).p, undefined);
});

function assertRefused(failure: Failure, ...fields: string[]): void {
  assert.equal(failure.status, 'INVALID_ARGUMENT');
  assert.equal(failure.details.reason, 'INVALID_REQUEST');
  assert.deepEqual(
    failure.details.violations.map(({ field }) => field),
    fields,
  );
}
