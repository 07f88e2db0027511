import type { ServerWritableStream } from '@grpc/grpc-js';
import type { SandboxSession } from '../allocator/api.ts';
import type { FileEntry } from '../operations/file-entry.ts';
import type { Edge } from './edge.ts';
import { formatEntry } from './format-file.ts';
import { withSession } from './session-use.ts';
import { StreamingCall } from './streaming-call.ts';

/** What a file or an archive gives while it is read. */
interface OpenReading<End> {
  readonly entry: FileEntry;
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly end: Promise<End>;
}

/** How a request of one kind is read: its fields, its opening, its last message. */
interface Download<Request, Parsed extends { readonly sandboxId: string }, End, Response> {
  parse(request: Request): Parsed;
  open(session: SandboxSession, request: Parsed, signal: AbortSignal): Promise<OpenReading<End>>;
  formatEnd(end: End): Response;
}

interface DownloadMessage {
  entry?: ReturnType<typeof formatEntry> | null;
  chunk?: Uint8Array;
  end?: object | null;
}

/**
 * Entry, chunks, end. Credit goes back to the sandbox when the next piece is asked for, and that waits while the transport
 * holds `messagesInFlightMax` of them: a client that does not read holds those and one window.
 */
export function download<
  Request,
  Parsed extends { readonly sandboxId: string },
  End,
  Response extends DownloadMessage,
>(
  edge: Edge,
  kind: Download<Request, Parsed, End, Response>,
): (call: ServerWritableStream<Request, Response>) => void {
  return (call) => {
    const streaming = StreamingCall.admit<Request, DownloadMessage | Response>(edge, call, 'useFiles');
    if (!streaming) return;
    const { principal, signal } = streaming;
    const read = async () => {
      const request = kind.parse(call.request);
      const readAll = async (session: SandboxSession) => {
        const reading = await kind.open(session, request, signal);
        session.used();
        const inFlight = [streaming.write({ entry: formatEntry(reading.entry) })];
        for await (const chunk of reading.bytes) {
          session.used();
          if (inFlight.length === messagesInFlightMax) await inFlight.shift();
          inFlight.push(streaming.write({ chunk }));
        }
        await Promise.all(inFlight);
        return reading.end;
      };
      const end = await withSession(edge, principal, request.sandboxId, readAll, signal);
      streaming.write(kind.formatEnd(end));
      streaming.end();
    };
    read().catch((error: unknown) => streaming.fail(error));
  };
}

/** Of at most 64 KiB each: enough that the transport never waits for the next one. */
const messagesInFlightMax = 4;
