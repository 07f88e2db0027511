import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { ApiKeys } from '../../src/auth/api-keys.ts';
import { XgenTokens } from '../../src/auth/xgen-tokens.ts';
import { ClientAddresses } from '../../src/data-plane/xgen/client-addresses.ts';
import { XgenCredentials } from '../../src/data-plane/xgen/xgen-credentials.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import { newSandboxId } from '../../src/domain/ids.ts';
import { parsePreviewHost } from '../../src/http/xgen/preview-address.ts';
import { PreviewProxy } from '../../src/http/xgen/preview-proxy.ts';
import { bubblewrapAsRoot } from '../support/bubblewrap-sandboxes.ts';
import { SilentLog } from '../support/silent-log.ts';
import { echoServer, getFrom } from './preview-acceptance.ts';
import { T } from './xgen-client.ts';
import { keys, XgenService } from './xgen-service.ts';

it('25. previews that are public need no credential, and keep ours from the sandbox all the same', {
  skip: (await bubblewrapAsRoot()).skip,
}, async () => {
  await using service = await XgenService.start({ minReady: 1, env: { WARMPOOL_PREVIEW_AUTH: 'public' } });
  const { id } = await service.create();
  using client = await service.connect(id);
  client.send(T.start, 5, 0, { command: 'python3', args: ['-c', echoServer] });
  await client.find(({ type }) => type === T.portOpen);
  const seen = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await getFrom(service.origin, `sbx-${id}-3000.localhost`, path, headers);
    assert.equal(answer.status, 200, answer.body);
    assert.ok(!answer.body.includes(keys.user));
    const told = JSON.parse(answer.body);
    return { path: told.path, headers: Object.fromEntries(told.headers) };
  };
  assert.equal((await seen('/a?token=own')).path, '/a?token=own', 'a token of the application is its own');
  const basic = await seen('/', { authorization: 'Basic b3duOm93bg==' });
  assert.equal(basic.headers.authorization, 'Basic b3duOm93bg==');
  for (const key of [keys.user, keys.stranger]) {
    const ours = await seen('/', { authorization: `ApiKey ${key}` });
    assert.equal(ours.headers.authorization, undefined);
  }
  const { token } = (await service.call('POST', '/api/v1/auth/token', { body: { api_key: keys.user } })).body;
  assert.equal((await seen(`/a?token=${token}&b=c`)).path, '/a?b=c');
  const told = await seen('/', { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-host': 'evil' });
  assert.deepEqual(
    [told.headers['X-Forwarded-For'], told.headers['x-forwarded-host']],
    ['127.0.0.1', undefined],
    'what a client says of itself is not passed on',
  );
  const unknown = await getFrom(service.origin, 'sbx-00aaaaaaaaaaaaaaaaaa-80.localhost', '/');
  assert.deepEqual([unknown.status, JSON.parse(unknown.body).code], [404, 'SANDBOX_NOT_FOUND']);
});

it('25. I16 a public preview tells a stranger nothing of why the sandbox of a tenant has failed', async () => {
  const clock = new SystemClock();
  const failed = new WarmpoolError('SANDBOX_FAILED', 'sandbox x has failed: registry.alice.example is away');
  const credentials = new XgenCredentials({
    keys: new ApiKeys([]),
    tokens: new XgenTokens(clock, new Uint8Array(32)),
    dataTokens: { verify: () => null },
  });
  const proxy = new PreviewProxy(
    {
      allocator: { openSession: () => Promise.reject(failed) },
      ownerOf: async () => 'alice',
      addresses: new ClientAddresses([]),
      log: new SilentLog(),
      clock,
      credentials,
    },
    { domain: 'localhost', auth: 'public' },
  );
  const web = createServer((request, response) => proxy.handle(request, response));
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  try {
    const { port } = web.address() as AddressInfo;
    const host = `sbx-${newSandboxId(0)}-80.localhost`;
    const answer = await getFrom(`http://127.0.0.1:${port}`, host, '/', { connection: 'close' });
    assert.deepEqual([answer.status, JSON.parse(answer.body).code], [409, 'SANDBOX_NOT_READY']);
    assert.doesNotMatch(answer.body, /alice/);
  } finally {
    web.close();
  }
});

it('25. a host is read in any case, with the port behind its last dash', () => {
  assert.deepEqual(parsePreviewHost('SBX-Abc-3000.Preview.Example:8443', 'preview.example'), {
    kind: 'port',
    sandboxId: 'abc',
    port: 3000,
  });
  assert.equal(parsePreviewHost('preview.example', 'preview.example'), null);
  assert.equal(parsePreviewHost('sbx-a-1.preview.example.evil', 'preview.example'), null);
  assert.equal(parsePreviewHost(undefined, 'localhost'), null);
  for (const bad of ['0', '65536', 'x', '']) {
    assert.equal(parsePreviewHost(`sbx-abc-${bad}.localhost`, 'localhost')?.kind, 'bad_port', bad);
  }
  assert.equal(parsePreviewHost('abc-1.localhost', 'localhost')?.kind, 'unknown');
});
