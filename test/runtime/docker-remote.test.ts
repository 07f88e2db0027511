import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { newSandboxId } from '../../src/domain/ids.ts';
import { DockerRuntime } from '../../src/runtime/docker/docker-runtime.ts';
import { Certificate, noOpenssl } from '../support/certificate.ts';
import {
  dockerEngineMissing,
  ensureTinyImage,
  tinyImage,
  useDockerEngine,
} from '../support/docker-engine.ts';
import { guestPath, openLink, run, template } from '../support/docker-sandboxes.ts';

test('K9 a remote engine is used over TLS with client certificates, links included', {
  skip: dockerEngineMissing() ?? noOpenssl,
}, async () => {
  await using engine = await useDockerEngine();
  await ensureTinyImage(engine.dockerHost);
  const folder = await mkdtemp(join(tmpdir(), 'warmpool-tls-'));
  try {
    await makeCertificates(folder);
    await using front = await startTlsFront(engine.dockerHost, folder);
    const deps = { clock: new SystemClock(), warn: () => undefined };
    const dockerHost = `tcp://localhost:${front.port}`;
    const nodeId = `tls-${front.port}`;
    await using runtime = new DockerRuntime(deps, { dockerHost, certFolder: folder, nodeId, guestPath });
    const request = {
      sandboxId: newSandboxId(0),
      pool: 'test',
      storeId: 'store-1',
      template: template({ image: tinyImage, user: '' }),
    };
    assert.equal((await runtime.inspectHost()).usable, true);
    const { transport, resync } = await runtime.boot(request, AbortSignal.timeout(60_000));
    const link = await openLink(transport, resync);
    assert.equal((await run(link, ['/hello'], { user: '' })).stdout, 'hello\n');
    const [object] = await runtime.list();
    assert.ok(object?.running && object.ageMs < 60_000);
    await runtime.destroy(request.sandboxId);

    // The same engine with certificates it does not know.
    const strangerFolder = join(folder, 'stranger');
    await mkdir(strangerFolder);
    await makeCertificates(strangerFolder);
    await copyFile(join(folder, 'ca.pem'), join(strangerFolder, 'ca.pem'));
    await using stranger = new DockerRuntime(deps, {
      dockerHost,
      certFolder: strangerFolder,
      nodeId,
      guestPath,
    });
    await assert.rejects(
      stranger.list(),
      (error) => isWarmpoolError(error) && error.code === 'RUNTIME_UNAVAILABLE',
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** As Docker's clients look for them. */
async function makeCertificates(folder: string): Promise<void> {
  using certificate = new Certificate();
  await copyFile(certificate.keyFile, join(folder, 'key.pem'));
  for (const name of ['cert.pem', 'ca.pem']) await copyFile(certificate.certFile, join(folder, name));
}

/** What a remote engine looks like: TLS that wants a client certificate, on a port of its own. */
async function startTlsFront(
  dockerHost: string,
  folder: string,
): Promise<AsyncDisposable & { readonly port: number }> {
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'cert.pem', 'key.pem'].map((name) => readFile(join(folder, name))),
  );
  const sockets = new Set<Socket>();
  const options = {
    ca: ca ?? '',
    cert: cert ?? '',
    key: key ?? '',
    requestCert: true,
    rejectUnauthorized: true,
  };
  const server = createServer(options, (client) => {
    const upstream = connect(dockerHost.slice('unix://'.length));
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
        sockets.delete(socket);
      });
    }
    client.pipe(upstream).pipe(client);
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, 'localhost');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
