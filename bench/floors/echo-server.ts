import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { Redis } from 'ioredis';
import { announce, readSetup } from '../server-process.ts';
import { channelOptions, type EchoMessage, echoService } from './echo-contract.ts';
import { floorKeys, popScript } from './redis-echo.ts';

/**
 * The floor's process: a bare grpc-js server that runs one Redis script for each call. What it leaves out is what is
 * measured in the subject: parsing, checking, leases, events, memory of requests, metrics.
 */
const { redisSocket, db } = readSetup<{ redisSocket: string | null; db: number }>();
const redis =
  redisSocket === null ? null : new Redis({ path: redisSocket, db, scripts: { popOne: popScript } });

interface PopOne {
  popOne(ready: string, prefix: string, claim: string): Promise<string>;
}

let claims = 0;
const server = new Server(channelOptions);
server.addService(echoService, {
  Pop: (call: ServerUnaryCall<EchoMessage, EchoMessage>, respond: sendUnaryData<EchoMessage>) => {
    claims += 1;
    (redis as unknown as PopOne).popOne(floorKeys.ready, floorKeys.prefix, `claim-${claims}`).then(
      () => respond(null, call.request),
      (error: Error) => respond(error),
    );
  },
  Stream: (call: ServerDuplexStream<EchoMessage, EchoMessage>) => {
    call.on('data', (message: EchoMessage) => call.write(message));
    call.on('end', () => call.end());
  },
});
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  announce(`127.0.0.1:${port}`, async () => {
    server.forceShutdown();
    redis?.disconnect();
  });
});
