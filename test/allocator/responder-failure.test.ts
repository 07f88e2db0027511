import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponderError } from '../../protocol/channel-opener.ts';
import { responderErrorCodes } from '../../protocol/responder-error-codes.ts';
import { responderFailure } from '../../src/allocator/responder-failure.ts';
import { isWarmpoolError, WarmpoolError } from '../../src/domain/errors.ts';

function failureOf(code: string, message = ''): WarmpoolError {
  const failure = responderFailure(new ResponderError(code, message));
  assert.ok(isWarmpoolError(failure));
  return failure;
}

test('every code of the protocol is an error of the catalogue, with a sentence', () => {
  for (const code of responderErrorCodes) {
    const failure = failureOf(code);
    assert.ok(failure.message.length > 5, code);
    assert.ok(failure.cause === undefined || failure.cause instanceof ResponderError);
  }
});

test('what only a broken guest or node can cause is INTERNAL, anything else is not', () => {
  const internal = responderErrorCodes.filter((code) => failureOf(code).code === 'INTERNAL');
  assert.deepEqual(internal, ['unknown_message', 'channel_in_use', 'credit_exceeded', 'spawn_failed']);
});

test('a code of another version is INTERNAL, whatever it says', () => {
  assert.equal(failureOf('brand_new', 'hello').code, 'INTERNAL');
});

test('the field is named where the error is about one', () => {
  const fieldOf = (failure: WarmpoolError) => failure.details.violations?.[0]?.field;
  assert.equal(fieldOf(failureOf('invalid_payload', 'mode: not an integer from 0 to 4095')), 'mode');
  assert.equal(fieldOf(failureOf('invalid_payload', '70000 bytes, over 65536')), 'request');
  assert.equal(fieldOf(failureOf('user_unknown')), 'user');
  assert.equal(fieldOf(failureOf('checksum_mismatch')), 'sha256');
  assert.equal(fieldOf(failureOf('not_found')), undefined);
});

test('text from a sandbox is made safe and short', () => {
  const { message } = failureOf('io_error', `\u001b[31m${'x'.repeat(10_000)}\n`);
  assert.ok(message.length < 300);
  assert.doesNotMatch(message, /\p{Cc}/u);
});

test('anything else stays what it is', () => {
  const lost = new WarmpoolError('GUEST_UNREACHABLE', 'the link was lost');
  assert.equal(responderFailure(lost), lost);
  const fault = new TypeError('a mistake of ours');
  assert.equal(responderFailure(fault), fault);
});
