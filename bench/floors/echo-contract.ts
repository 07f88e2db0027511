import { join } from 'node:path';
import {
  type Client,
  type ClientDuplexStream,
  type ClientUnaryCall,
  credentials,
  loadPackageDefinition,
  type requestCallback,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { packageRoot } from '../../src/package-root.ts';

export interface EchoMessage {
  readonly payload: Uint8Array;
}

export interface EchoClient extends Client {
  pop(request: EchoMessage, callback: requestCallback<EchoMessage>): ClientUnaryCall;
  stream(): ClientDuplexStream<EchoMessage, EchoMessage>;
}

type EchoClientConstructor = (new (
  address: string,
  insecure: ReturnType<typeof credentials.createInsecure>,
  options: object,
) => EchoClient) & { readonly service: ServiceDefinition };

const tree = loadPackageDefinition(
  loadSync(join(packageRoot(), 'bench', 'floors', 'echo.proto'), { defaults: true }),
) as unknown as { readonly warmpool: { readonly bench: { readonly Echo: EchoClientConstructor } } };

const { Echo } = tree.warmpool.bench;

export const echoService = Echo.service;

/** Without grpc-js's own bookkeeping, on both sides of every comparison. */
export const channelOptions = { 'grpc.enable_channelz': 0 };

export function connectEcho(address: string): EchoClient {
  return new Echo(address, credentials.createInsecure(), channelOptions);
}
