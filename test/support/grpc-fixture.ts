import { after } from 'node:test';
import type { KeyEntry } from '../../src/auth/api-keys.ts';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { type GrpcServer, startGrpcServer } from '../../src/grpc/grpc-server.ts';
import type { Log } from '../../src/observability/log.ts';
import { FakeAllocator } from './fake-allocator.ts';

/** A real server on a port of the system's choosing over a fake allocator, closed after the test file. */
export interface GrpcFixture {
  readonly allocator: FakeAllocator;
  readonly server: GrpcServer;
  readonly address: string;
  readonly client: WarmpoolClient;
  readonly logged: { readonly fields: object; readonly message: string }[];
  connect(apiKey?: string): WarmpoolClient;
}

export async function grpcFixture(
  keys: readonly KeyEntry[] = [],
  options: { readonly callDeadlineMs?: number } = {},
): Promise<GrpcFixture> {
  const allocator = new FakeAllocator();
  const logged: { fields: object; message: string }[] = [];
  const write = (fields: object, message: string) => void logged.push({ fields, message });
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const server = await startGrpcServer(
    { allocator, keys, log },
    { listen: { host: '127.0.0.1', port: 0 }, ...options },
  );
  const address = `${server.address.host}:${server.address.port}`;
  const clients: WarmpoolClient[] = [];
  const connectTo = (apiKey?: string) => {
    const client = connect(address, apiKey === undefined ? {} : { apiKey });
    clients.push(client);
    return client;
  };
  after(async () => {
    for (const client of clients) client.close();
    await server[Symbol.asyncDispose]();
  });
  return { allocator, server, address, client: connectTo(), logged, connect: connectTo };
}
