import type { ServerDuplexStream } from '@grpc/grpc-js';
import { type FieldViolation, invalidRequest, WarmpoolError } from '../domain/errors.ts';
import type { GuestProcess } from '../guest-link/guest.ts';
import type { Edge } from './edge.ts';
import { ExecOutput } from './exec-output.ts';
import { formatExit } from './format-exec.ts';
import type { ExecStart__Output } from './gen/warmpool/v1/ExecStart.ts';
import type { ExecStreamRequest__Output } from './gen/warmpool/v1/ExecStreamRequest.ts';
import type { ExecStreamResponse } from './gen/warmpool/v1/ExecStreamResponse.ts';
import { parseExecStart } from './parse-requests.ts';
import { readOneAhead, StreamingCall } from './streaming-call.ts';

type ExecCall = ServerDuplexStream<ExecStreamRequest__Output, ExecStreamResponse>;

const signalNumberMax = 64;

export function execStream(edge: Edge): (call: ExecCall) => void {
  return (call) => {
    const streaming = StreamingCall.admit(edge, call, 'spawn');
    if (streaming) new ExecStream(edge, call, streaming);
  };
}

/**
 * One command over one stream. States: waiting (for `start`) → starting → running → ended.
 *
 * - The client's messages are handled one at a time: reading stops while the process starts and while it has not taken
 *   its stdin, so nothing queues here and the client feels it through HTTP/2's flow control.
 * - The call ends once: with `exit` after all output, or with an error. Ending it any other way (cancelled, deadline,
 *   connection lost, a wrong message) aborts the signal, which kills the process group.
 */
class ExecStream {
  readonly #edge: Edge;
  readonly #call: ExecCall;
  readonly #streaming: StreamingCall<ExecStreamRequest__Output, ExecStreamResponse>;
  readonly #startTimer: NodeJS.Timeout;
  #phase: Phase = { kind: 'waiting' };

  constructor(
    edge: Edge,
    call: ExecCall,
    streaming: StreamingCall<ExecStreamRequest__Output, ExecStreamResponse>,
  ) {
    this.#edge = edge;
    this.#call = call;
    this.#streaming = streaming;
    // A stream that never says what to run is not left open for ever (D20).
    this.#startTimer = setTimeout(() => this.#neverStarted(), edge.callDeadlineMs);
    streaming.signal.addEventListener('abort', () => clearTimeout(this.#startTimer), { once: true });
    readOneAhead(call);
    call.on('data', (message: ExecStreamRequest__Output) => this.#onMessage(message));
    call.on('end', () => this.#onHalfClose());
  }

  #onMessage(message: ExecStreamRequest__Output): void {
    if (this.#streaming.ended) return;
    const phase = this.#phase;
    if (phase.kind === 'waiting') {
      if (message.start) this.#start(message.start);
      else this.#refuse({ field: 'start', description: 'must be the first message' });
      return;
    }
    // Reading is paused while the process starts, so nothing can come then.
    if (phase.kind === 'starting') this.#refuse({ field: 'message', description: 'came out of order' });
    else if (message.stdin) this.#onStdin(phase, message.stdin);
    else if (message.eof) phase.process.endStdin();
    else if (message.signal !== undefined) this.#onSignal(phase.process, message.signal);
    else if (message.start) this.#refuse({ field: 'start', description: 'must be the first message only' });
    else this.#refuse({ field: 'message', description: 'is empty' });
  }

  #start(wire: ExecStart__Output): void {
    clearTimeout(this.#startTimer);
    this.#phase = { kind: 'starting' };
    this.#call.pause();
    this.#run(wire).catch((error: unknown) => this.#streaming.fail(error));
  }

  async #run(wire: ExecStart__Output): Promise<void> {
    const { principal, signal } = this.#streaming;
    const output = new ExecOutput((message) => this.#streaming.write(message));
    const request = parseExecStart(wire);
    const process = await this.#edge.allocator.spawn(principal, request, output, signal);
    // Not awaited: what the process writes may queue behind it.
    this.#streaming.write({ started: { pid: process.pid } });
    output.attach(process);
    this.#phase = { kind: 'running', process, takesStdin: request.stdin };
    this.#call.resume();
    const exit = await process.exited;
    await output.flushed();
    this.#streaming.write({ exit: formatExit(exit) });
    this.#streaming.end();
  }

  #onStdin(phase: Running, bytes: Buffer): void {
    if (!phase.takesStdin) {
      this.#refuse({ field: 'stdin', description: 'the command was started with no_stdin' });
      return;
    }
    this.#call.pause();
    phase.process.writeStdin(bytes).then(
      () => this.#call.resume(),
      (error: unknown) => this.#streaming.fail(error),
    );
  }

  #onSignal(process: GuestProcess, signalNumber: number): void {
    if (signalNumber >= 1 && signalNumber <= signalNumberMax) process.signal(signalNumber);
    else this.#refuse({ field: 'signal', description: `must be 1 to ${signalNumberMax}` });
  }

  #onHalfClose(): void {
    if (this.#phase.kind === 'waiting') {
      this.#refuse({ field: 'start', description: 'the stream ended before its first message' });
    } else if (this.#phase.kind === 'running') this.#phase.process.endStdin();
  }

  #refuse(violation: FieldViolation): void {
    clearTimeout(this.#startTimer);
    this.#streaming.fail(invalidRequest([violation]));
  }

  #neverStarted(): void {
    const waited = `${this.#edge.callDeadlineMs / 1_000} s`;
    this.#streaming.fail(new WarmpoolError('DEADLINE_EXCEEDED', `no start message came within ${waited}`));
  }
}

type Phase = { readonly kind: 'waiting' } | { readonly kind: 'starting' } | Running;

interface Running {
  readonly kind: 'running';
  readonly process: GuestProcess;
  readonly takesStdin: boolean;
}
