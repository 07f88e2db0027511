import { credentials, Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { contract } from '../../src/grpc/wire/contract.ts';
import { decodeStatusDetails, detailsKey, type StatusDetails } from '../../src/grpc/wire/status-details.ts';

/** The generated clients as any program in any language would have them: for messages that our client never sends. */
export class RawClients implements Disposable {
  readonly sandboxes: InstanceType<typeof contract.SandboxService>;
  readonly commands: InstanceType<typeof contract.ExecService>;
  readonly files: InstanceType<typeof contract.FileService>;
  readonly pools: InstanceType<typeof contract.PoolService>;
  readonly nodes: InstanceType<typeof contract.NodeService>;

  constructor(address: string) {
    this.sandboxes = new contract.SandboxService(address, credentials.createInsecure());
    const shared = { channelOverride: this.sandboxes.getChannel() };
    this.commands = new contract.ExecService(address, credentials.createInsecure(), shared);
    this.files = new contract.FileService(address, credentials.createInsecure(), shared);
    this.pools = new contract.PoolService(address, credentials.createInsecure(), shared);
    this.nodes = new contract.NodeService(address, credentials.createInsecure(), shared);
  }

  [Symbol.dispose](): void {
    this.sandboxes.close();
  }
}

export interface Failure {
  readonly status: string;
  readonly message: string;
  readonly details: StatusDetails;
}

/** The failure of a unary call; rejects when it succeeds. */
export function failureOf(
  send: (callback: (error: ServiceError | null) => void) => unknown,
): Promise<Failure> {
  return new Promise((resolve, reject) => {
    send((error) => (error ? resolve(decodeFailure(error)) : reject(new Error('the call succeeded'))));
  });
}

/** The failure that a stream ends with; rejects when it ends well. */
export function streamFailure(stream: {
  on(event: 'error', listener: (error: ServiceError) => void): unknown;
  on(event: 'status', listener: (status: StatusObject) => void): unknown;
  resume(): unknown;
}): Promise<Failure> {
  return new Promise((resolve, reject) => {
    stream.on('error', (error: ServiceError) => resolve(decodeFailure(error)));
    stream.on('status', (end: StatusObject) => {
      if (end.code === status.OK) reject(new Error('the stream ended well'));
    });
    stream.resume();
  });
}

export function bearer(key: string): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${key}`);
  return metadata;
}

function decodeFailure(error: ServiceError): Failure {
  const encoded = error.metadata.get(detailsKey)[0];
  const details =
    encoded instanceof Uint8Array
      ? decodeStatusDetails(encoded)
      : { code: error.code, message: error.details, metadata: {}, violations: [] };
  return { status: status[error.code] ?? String(error.code), message: error.details, details };
}
