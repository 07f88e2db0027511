import { Client, type ClientReadableStream, credentials, type ServiceError } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';

/** What a load balancer does. */
export class HealthClient implements Disposable {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure());
  }

  check(name: string): Promise<string> {
    const { path, requestSerialize, responseDeserialize } = healthMethod('Check');
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, response?: object) => {
        if (error) reject(error);
        else resolve(statusOf(response));
      };
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service: name }, done);
    });
  }

  /** Each status, as it changes. */
  async *watch(name: string): AsyncGenerator<string, void> {
    const { path, requestSerialize, responseDeserialize } = healthMethod('Watch');
    const request = { service: name };
    const stream: ClientReadableStream<object> = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
    );
    stream.on('error', () => {});
    try {
      for await (const response of stream) yield statusOf(response);
    } finally {
      stream.cancel();
    }
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

function healthMethod(name: 'Check' | 'Watch') {
  const method = service[name];
  if (!method) throw new Error(`the health service has no method ${name}`);
  return method;
}

function statusOf(response: unknown): string {
  return String((response as { status?: unknown }).status);
}
