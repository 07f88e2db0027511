import type { ServerReadableStream, sendUnaryData } from '@grpc/grpc-js';
import type { Principal, SandboxSession } from '../allocator/api.ts';
import { invalidRequest, WarmpoolError } from '../domain/errors.ts';
import { admit, type Edge } from './edge.ts';
import { formatError } from './format-error.ts';
import { withSession } from './session-use.ts';
import { readOneAhead } from './streaming-call.ts';
import { UploadSource } from './upload-source.ts';

/** One message of an upload: the header first, chunks after it, the end last. */
export interface UploadMessage<Header> {
  readonly header?: Header | null;
  readonly chunk?: Buffer | null;
  readonly end?: object | null;
}

interface Upload<Header, Parsed extends { readonly sandboxId: string }, Response> {
  parse(header: Header): Parsed;
  write(
    session: SandboxSession,
    request: Parsed,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<Response>;
}

type UploadStream<Header, Response> = ServerReadableStream<UploadMessage<Header>, Response>;

/**
 * A client's stream into a file or an archive. It is answered once: with the result, or with the first thing that goes
 * wrong, which ends the call also while the client still writes. A call that is cancelled aborts the writing; and a
 * stream that ends without saying that nothing is missing has failed: clients of Node half-close what they cancel.
 */
export function upload<Header, Parsed extends { readonly sandboxId: string }, Response>(
  edge: Edge,
  kind: Upload<Header, Parsed, Response>,
): (call: UploadStream<Header, Response>, respond: sendUnaryData<Response>) => void {
  return (call, respond) => {
    const abort = new AbortController();
    let answered = false;
    const answer = (send: () => void) => {
      if (answered) return;
      answered = true;
      send();
    };
    edge.calls.begin();
    call.on('cancelled', () => {
      edge.calls.end();
      answer(() =>
        abort.abort(new WarmpoolError('CANCELLED', 'the call was cancelled, or its deadline passed')),
      );
    });
    readOneAhead(call);
    const source = new UploadSource<UploadMessage<Header>>(call, abort.signal);
    const run = async (principal: Principal) => {
      const request = kind.parse(await headerOf(source, edge));
      const write = (session: SandboxSession) =>
        kind.write(session, request, chunksOf(source, session), abort.signal);
      return withSession(edge, principal, request.sandboxId, write, abort.signal);
    };
    const fail = (error: unknown) => answer(() => respond(formatError(error, edge.log)));
    try {
      run(admit(edge, call.metadata, 'useFiles')).then(
        (response) => answer(() => respond(null, response)),
        (error: unknown) => {
          // What the client still sends is read and dropped, so that it comes to see the answer.
          source.discard();
          fail(error);
        },
      );
    } catch (error) {
      source.discard();
      fail(error);
    }
  };
}

async function headerOf<Header>(source: UploadSource<UploadMessage<Header>>, edge: Edge): Promise<Header> {
  // A stream that never says what it writes is not left open for ever (D20).
  const message = await source.next(edge.callDeadlineMs);
  if (message?.header) return message.header;
  throw invalidRequest([{ field: 'header', description: 'must be the first message' }]);
}

async function* chunksOf<Header>(
  source: UploadSource<UploadMessage<Header>>,
  session: SandboxSession,
): AsyncGenerator<Uint8Array> {
  for (let message = await source.next(); message !== null; message = await source.next()) {
    session.used();
    if (message.chunk) yield message.chunk;
    else if (message.end) return;
    else if (message.header) {
      throw invalidRequest([{ field: 'header', description: 'must be the first message only' }]);
    } else throw invalidRequest([{ field: 'message', description: 'is empty' }]);
  }
  throw invalidRequest([{ field: 'end', description: 'must be the last message: something may be missing' }]);
}
