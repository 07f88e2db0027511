import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Edge } from './edge.ts';
import { formatStreamError } from './format-error.ts';
import type { KeepAliveStreamRequest__Output } from './gen/warmpool/v1/KeepAliveStreamRequest.ts';
import type { KeepAliveStreamResponse } from './gen/warmpool/v1/KeepAliveStreamResponse.ts';
import { RequestFields } from './request-fields.ts';
import { readOneAhead, StreamingCall } from './streaming-call.ts';
import { formatDuration, formatTimestamp } from './wire/time.ts';

type KeepAliveCall = ServerDuplexStream<KeepAliveStreamRequest__Output, KeepAliveStreamResponse>;

/**
 * Renewals of one stream under way at the same time. It hides the store's round trip behind the next requests and
 * bounds what a client that does not read its answers can make us hold.
 */
const inFlightMax = 32;

/** Renews many leases over one stream: one response for each request, reading on only as answers are taken. */
export function keepAliveStream(edge: Edge): (call: KeepAliveCall) => void {
  return (call) => {
    const streaming = StreamingCall.admit(edge, call, 'keepAlive');
    if (!streaming) return;
    readOneAhead(call);
    let inFlight = 0;
    let halfClosed = false;
    const endOnDrain = () => streaming.fail(edge.calls.drainSignal.reason);
    edge.calls.drainSignal.addEventListener('abort', endOnDrain);
    call.on('cancelled', () => edge.calls.drainSignal.removeEventListener('abort', endOnDrain));

    const answer = async (request: KeepAliveStreamRequest__Output) => {
      const outcome = await renew(request).catch((error: unknown) => ({
        error: formatStreamError(error, edge.log),
      }));
      if (!streaming.ended) await streaming.write({ id: request.id, ...outcome });
      inFlight -= 1;
      if (halfClosed && inFlight === 0) streaming.end();
      else if (inFlight < inFlightMax) call.resume();
    };

    const renew = async (request: KeepAliveStreamRequest__Output) => {
      const fields = new RequestFields();
      const id = fields.required('id', request.id);
      const ttlMs = fields.duration('ttl', request.ttl);
      fields.done();
      const { lease } = await edge.allocator.keepAlive(streaming.principal, id, ttlMs ?? null);
      const renewed = lease && {
        expiresAt: formatTimestamp(lease.expiresAtMs),
        remaining: formatDuration(lease.remainingMs),
      };
      return { renewed: renewed ?? {} };
    };

    call.on('data', (request: KeepAliveStreamRequest__Output) => {
      inFlight += 1;
      if (inFlight >= inFlightMax) call.pause();
      void answer(request);
    });
    call.on('end', () => {
      halfClosed = true;
      if (inFlight === 0) streaming.end();
    });
  };
}
