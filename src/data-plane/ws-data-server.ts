import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connectionsOfNodeMax } from './connection-limits.ts';
import {
  cannotListen,
  type DataServer,
  type DataTls,
  type ListenOptions,
  noSuchPath,
  pendingConnectionsMax,
  upgradeTimeoutMs,
} from './data-server.ts';
import { httpAnswer, refusal } from './refusal.ts';
import type { WsUpgrades } from './ws-upgrades.ts';

/** The data port where the native addon does not load: the same sockets by Node's HTTP server and `ws`. */
export async function startWsDataServer(
  upgrades: WsUpgrades,
  listen: ListenOptions,
  tls: DataTls | null = null,
): Promise<DataServer> {
  const options = {
    headersTimeout: upgradeTimeoutMs,
    requestTimeout: upgradeTimeoutMs,
    connectionsCheckingInterval: 500,
    maxHeaderSize: headerBytesMax,
  };
  const answers: RequestListener = (_request, response) => {
    const answer = httpAnswer(refusal(noSuchPath.status, noSuchPath.code, noSuchPath.message));
    for (const [name, value] of answer.headers) response.setHeader(name, value);
    response.writeHead(noSuchPath.status, { connection: 'close' }).end(answer.body);
  };
  const server = tls
    ? createTlsServer({ ...options, ...pairOf(tls), handshakeTimeout: upgradeTimeoutMs }, answers)
    : createServer(options, answers);
  server.maxConnections = connectionsOfNodeMax + pendingConnectionsMax;
  server.on('upgrade', (request, raw, head) => upgrades.handle(request, raw, head));
  await opened(server, listen);
  const { port } = server.address() as AddressInfo;
  return {
    address: { host: listen.host, port },
    stopListening: () => server.close(),
    async [Symbol.asyncDispose]() {
      await upgrades.finish();
      await closed(server);
    },
  };
}

function pairOf({ certFile, keyFile }: DataTls) {
  return { cert: readFileSync(certFile), key: readFileSync(keyFile) };
}

function opened(server: Server, listen: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'the port is already in use' : (error.code ?? error.message);
      reject(cannotListen(listen, why, error));
    });
    server.listen({ host: listen.host, port: listen.port }, resolve);
  });
}

/** Sockets that were upgraded are no connections of the HTTP server any more: the door has closed them. */
async function closed(server: Server): Promise<void> {
  if (!server.listening) return;
  const done = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await done;
}

/** A data token, an API key and the usual headers of a browser are some 3 KB. */
const headerBytesMax = 16_384;
