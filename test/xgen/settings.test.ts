import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingsSchema } from '../../src/config/settings.ts';

test('the xgen dialect is told its address, the domain of its previews and its rate limit', () => {
  const plain = settingsSchema.parse({});
  assert.deepEqual(
    [plain.httpUrl, plain.previewDomain, plain.xgenRequestsPerMinute],
    [undefined, undefined, 120],
  );
  const told = settingsSchema.parse({
    httpUrl: 'https://api.example.com/',
    previewDomain: 'Preview.Example.com:8443',
    xgenRequestsPerMinute: '0',
  });
  assert.equal(told.httpUrl, 'https://api.example.com');
  assert.equal(told.previewDomain, 'preview.example.com:8443');
  assert.equal(told.xgenRequestsPerMinute, 0);
  assert.equal(settingsSchema.parse({ xgenRequestsPerMinute: 7 }).xgenRequestsPerMinute, 7);
});

test('addresses, domains and limits that mean nothing are refused', () => {
  for (const wrong of [
    { httpUrl: 'ws://api.example.com' },
    { httpUrl: 'api.example.com' },
    { previewDomain: 'https://preview.example.com' },
    { previewDomain: 'preview.example.com:99999' },
    { previewDomain: '' },
    { xgenRequestsPerMinute: -1 },
    { xgenRequestsPerMinute: 'many' },
    { xgenRequestsPerMinute: 1.5 },
  ]) {
    assert.equal(settingsSchema.safeParse(wrong).success, false, JSON.stringify(wrong));
  }
});
