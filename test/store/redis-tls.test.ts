import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { type RedisTlsFiles, readRedisTls } from '../../src/store/redis/redis-tls.ts';
import { Certificate, noOpenssl } from '../support/certificate.ts';
import { freePorts } from '../support/free-ports.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { StoreScenario } from '../support/store-scenario.ts';

const { skip } = await requirement('redis');

const noFiles: RedisTlsFiles = { caFile: null, certFile: null, keyFile: null };

function newStore(url: string, files: RedisTlsFiles): RedisPoolStore {
  const observer = { claimNotReplicated: () => {} };
  const tls = readRedisTls(files);
  return new RedisPoolStore({ clock: new SystemClock(), warn: () => {}, observer }, { url, tls });
}

test('redis: over TLS, both sides show a certificate that the other one trusts, or nothing is said', {
  skip: skip || noOpenssl,
}, async () => {
  using certificate = new Certificate();
  const { certFile, keyFile } = certificate;
  const [port] = await freePorts('localhost', 1);
  await using server = await RedisServer.start({
    arguments: [
      ...['--tls-port', String(port), '--bind', '127.0.0.1', '::1', '--tls-auth-clients', 'yes'],
      ...['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile],
    ],
  });
  assert.ok(server.running);
  const url = `rediss://localhost:${port}`;

  await using store = newStore(url, { caFile: certFile, certFile, keyFile });
  await store.open();
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const stop = new AbortController();
  const events = (await store.follow(null, stop.signal))[Symbol.asyncIterator]();
  const { id } = await scenario.claimed();
  const heard = (await events.next()).value;
  stop.abort();
  assert.equal(heard?.[0]?.id, id);
  assert.equal((await store.get(id, 'alice'))?.state, 'running');

  for (const [files, why] of [
    [noFiles, /DEPTH_ZERO_SELF_SIGNED_CERT/],
    // TLS 1.3 tells it after the handshake: as an alert, or as the end of the connection, whichever is read first.
    [{ ...noFiles, caFile: certFile }, /certificate.required|Connection is closed|ECONNRESET|EPIPE/i],
  ] as const) {
    await using refused = newStore(url, files);
    await assert.rejects(refused.open(), (error) => isWarmpoolError(error) && why.test(error.message));
  }
});
