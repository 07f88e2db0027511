import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import { clientError } from '../../src/client/client-errors.ts';
import { type ErrorCode, errorCodes, isWarmpoolError, WarmpoolError } from '../../src/domain/errors.ts';
import { statusOf } from '../../src/grpc/status-codes.ts';
import { encodeStatusDetails } from '../../src/grpc/wire/status-details.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';
import { failureOf, RawClients } from '../support/grpc-raw.ts';

const { client, allocator, address, logged } = await grpcFixture();

test('every error of the catalogue arrives with its status, reason, facts, fields and retry', async () => {
  using raw = new RawClients(address);
  for (const code of errorCodes.filter((each) => each !== 'INTERNAL')) {
    const thrown = new WarmpoolError(code, `about ${code}: größer „als" 100 %`, {
      facts: { state: 'paused', sandbox: '07x' },
      violations: [{ field: 'env.FOO', description: 'is wrong' }],
      retryAfterMs: 1_250,
    });
    allocator.fail = thrown;
    const failure = await failureOf((done) => raw.sandboxes.getSandbox({ id: 'x' }, done));
    assert.equal(failure.status, status[statusOf[code]]);
    assert.equal(failure.message, `about ${code}: größer „als" 100 %`);
    assert.deepEqual(failure.details, {
      code: statusOf[code],
      message: failure.message,
      reason: code,
      metadata: { state: 'paused', sandbox: '07x' },
      violations: [{ field: 'env.FOO', description: 'is wrong' }],
      retryAfterMs: 1_250,
    });
    const decoded = await client.get('x').catch((error: unknown) => error);
    assert.ok(isWarmpoolError(decoded));
    assert.equal(decoded.code, code);
    assert.deepEqual(decoded.details, thrown.details);
  }
  allocator.fail = null;
});

test('the statuses are those that the issue names', () => {
  const expected: Partial<Record<ErrorCode, keyof typeof status>> = {
    INVALID_REQUEST: 'INVALID_ARGUMENT',
    REQUEST_ID_REUSED: 'INVALID_ARGUMENT',
    TEMPLATE_NOT_FOUND: 'NOT_FOUND',
    SANDBOX_NOT_FOUND: 'NOT_FOUND',
    SANDBOX_WRONG_STATE: 'FAILED_PRECONDITION',
    NO_CAPACITY: 'RESOURCE_EXHAUSTED',
    QUOTA_EXCEEDED: 'RESOURCE_EXHAUSTED',
    STORE_UNAVAILABLE: 'UNAVAILABLE',
    DRAINING: 'UNAVAILABLE',
  };
  for (const [code, name] of Object.entries(expected)) {
    assert.equal(status[statusOf[code as ErrorCode]], name);
  }
});

test('A16 a fault of the service tells the client nothing but where the log has it', async () => {
  const faults = [
    new TypeError('cannot read secret-canary of undefined'),
    new WarmpoolError('INTERNAL', 'secret-canary', { facts: { key: 'secret-canary' } }),
  ];
  for (const fault of faults) {
    allocator.fail = fault;
    logged.length = 0;
    using raw = new RawClients(address);
    const failure = await failureOf((done) => raw.sandboxes.getSandbox({ id: 'x' }, done));
    assert.equal(failure.status, 'INTERNAL');
    assert.ok(!JSON.stringify(failure).includes('secret-canary'));
    const { reference = 'none' } = failure.details.metadata;
    assert.ok(failure.message.includes(reference));
    assert.deepEqual(logged[0]?.fields, { err: fault, reference });
  }
  allocator.fail = null;
});

test('an answer stays under the 8 KiB of headers that clients take, however much is wrong', async () => {
  using raw = new RawClients(address);
  for (const character of ['x', 'ß', '✓', '😀', '%']) {
    const long = (count: number) => character.repeat(count);
    const violations = Array.from({ length: 5_000 }, (_, index) => ({
      field: `env.${long(1_000)}${index}`,
      description: long(1_000),
    }));
    const facts = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [`${index}${long(300)}`, long(100_000)]),
    );
    allocator.fail = new WarmpoolError('INVALID_REQUEST', long(100_000), { violations, facts });
    const failure = await failureOf((done) => raw.sandboxes.getSandbox({ id: 'x' }, done));
    assert.equal(failure.details.reason, 'INVALID_REQUEST');
    assert.equal(failure.details.violations.length, 8);
    assert.match(failure.details.violations[0]?.field ?? '', new RegExp(`^env\\.${character}+…$`, 'u'));
    assert.match(failure.message, new RegExp(`^${character}+…$`, 'u'));
    const headerBytes = Math.ceil(encodeStatusDetails(failure.details).length / 3) * 4;
    assert.ok(headerBytes + encodeURI(failure.message).length < 8_000, character);
  }
  allocator.fail = null;
});

test('a message that is no well-formed text is still an answer, not a crash', async () => {
  allocator.fail = new WarmpoolError('TEMPLATE_NOT_FOUND', 'half \ud800 and \u0000 and \r\n', {
    facts: { '\udfff': '\ud800' },
    violations: [{ field: 'env.\ud800', description: '\udc00' }],
  });
  const error = await client.get('x').catch((caught: unknown) => caught);
  assert.ok(isWarmpoolError(error));
  assert.equal(error.code, 'TEMPLATE_NOT_FOUND');
  assert.match(error.message, /^half \ufffd and/);
  allocator.fail = null;
});

test('NO_CAPACITY says when to try again', async () => {
  await assert.rejects(client.create('empty'), {
    code: 'NO_CAPACITY',
    details: { retryAfterMs: 1_500, facts: { pool: 'empty' } },
  });
});

test('a stream that ends without a status is a connection that broke, for it was not the service that said so', () => {
  for (const code of [status.UNAVAILABLE, status.INTERNAL]) {
    const error = Object.assign(new Error(), {
      code,
      details: 'Received RST_STREAM',
      metadata: new Metadata(),
    });
    assert.equal(clientError(error, 'localhost:1').name, 'ServiceUnreachableError');
  }
});
