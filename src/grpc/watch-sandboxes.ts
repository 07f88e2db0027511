import { Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import type { Edge } from './edge.ts';
import { formatEvent } from './format-sandbox.ts';
import type { WatchSandboxesRequest__Output } from './gen/warmpool/v1/WatchSandboxesRequest.ts';
import type { WatchSandboxesResponse } from './gen/warmpool/v1/WatchSandboxesResponse.ts';
import { StreamingCall } from './streaming-call.ts';

type WatchCall = ServerWritableStream<WatchSandboxesRequest__Output, WatchSandboxesResponse>;

/**
 * Events until the client cancels or the service drains. The next event is asked for when the transport has taken the
 * one before: a client that does not read holds one event here, and the store keeps the rest (or says that it no longer
 * does).
 */
export function watchSandboxes(edge: Edge): (call: WatchCall) => void {
  return (call) => {
    const streaming = StreamingCall.admit(edge, call, 'watchSandboxes');
    if (!streaming) return;
    const signal = AbortSignal.any([streaming.signal, edge.calls.drainSignal]);
    const { id, afterEventId } = call.request;
    const watch = async () => {
      const events = await edge.allocator.watchSandboxes(
        streaming.principal,
        { ...(id !== '' && { id }), afterEventId: afterEventId === '' ? null : afterEventId },
        signal,
      );
      // By the headers a client knows that the watch is on: what it does from then on will be told.
      if (!streaming.ended) call.sendMetadata(new Metadata());
      for await (const event of events) {
        if (signal.aborted) break;
        await streaming.write({ event: formatEvent(event) });
      }
      if (edge.calls.drainSignal.aborted) throw edge.calls.drainSignal.reason;
      streaming.end();
    };
    watch().catch((error: unknown) => streaming.fail(error));
  };
}
