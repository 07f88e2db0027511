import { Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import type { SandboxSession } from '../allocator/api.ts';
import { watchFiles } from '../operations/watch-files.ts';
import type { Edge } from './edge.ts';
import { formatFileEvent } from './format-file.ts';
import type { WatchDirRequest__Output } from './gen/warmpool/v1/WatchDirRequest.ts';
import type { WatchDirResponse } from './gen/warmpool/v1/WatchDirResponse.ts';
import { completed, parsePlace } from './parse-files.ts';
import { withSession } from './session-use.ts';
import { StreamingCall } from './streaming-call.ts';

type WatchCall = ServerWritableStream<WatchDirRequest__Output, WatchDirResponse>;

/**
 * Changes until the client cancels or the service drains. The next is asked for when the transport has taken the one
 * before: a client that does not read holds one window, and the guest says `overflow` for what did not fit.
 */
export function watchDir(edge: Edge): (call: WatchCall) => void {
  return (call) => {
    const streaming = StreamingCall.admit(edge, call, 'useFiles');
    if (!streaming) return;
    const { drainSignal } = edge.calls;
    const signal = AbortSignal.any([streaming.signal, drainSignal]);
    const watch = async () => {
      const place = parsePlace(call.request);
      const { recursive } = call.request;
      const tell = async (session: SandboxSession) => {
        const request = { ...completed(session, place), recursive };
        const { events } = await watchFiles(session.guest, request, { signal });
        // By the headers a client knows that the watch is on: what it does from then on will be told.
        if (!streaming.ended) call.sendMetadata(new Metadata());
        for await (const event of events) await streaming.write(formatFileEvent(event));
      };
      await withSession(edge, streaming.principal, place.sandboxId, tell, streaming.signal);
      streaming.end();
    };
    watch().catch((error: unknown) => streaming.fail(error));
  };
}
