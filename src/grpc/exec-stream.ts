import type { ServerDuplexStream } from '@grpc/grpc-js';
import { assertThat, type FieldViolation, invalidRequest, WarmpoolError } from '../domain/errors.ts';
import type { Edge } from './edge.ts';
import { ExecOutput } from './exec-output.ts';
import { formatExit } from './format-exec.ts';
import type { ExecStreamRequest__Output } from './gen/warmpool/v1/ExecStreamRequest.ts';
import type { ExecStreamResponse } from './gen/warmpool/v1/ExecStreamResponse.ts';
import { parseAttach, parseExecStart, parseSessionStart, parseTerminalSize } from './parse-requests.ts';
import { attachInSession, type StreamedProcess, spawnPlain, startInSession } from './streamed-process.ts';
import { onHalfClose, readOneAhead, StreamingCall } from './streaming-call.ts';

type ExecCall = ServerDuplexStream<ExecStreamRequest__Output, ExecStreamResponse>;

const signalNumberMax = 64;

export function execStream(edge: Edge): (call: ExecCall) => void {
  return (call) => {
    const streaming = StreamingCall.admit(edge, call, 'spawn');
    if (streaming) new ExecStream(edge, call, streaming);
  };
}

/**
 * One command over one stream. States: waiting (for `start` or `attach`) → starting → running → ended.
 *
 * - The client's messages are handled one at a time: reading stops while the process starts and while it has not taken
 *   its stdin, so nothing queues here and the client feels it through HTTP/2's flow control.
 * - The call ends once: with `exit` after all output, or with an error. Ending it any other way (cancelled, deadline,
 *   connection lost, a wrong message) aborts the signal, which kills the process group, or leaves a detached one alone.
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
    onHalfClose(call, () => this.#onHalfClose());
  }

  #onMessage(message: ExecStreamRequest__Output): void {
    if (this.#streaming.ended) return;
    const phase = this.#phase;
    if (phase.kind === 'waiting') {
      if (message.start || message.attach) this.#start(message);
      else this.#refuse({ field: 'start', description: 'must be the first message' });
      return;
    }
    // Reading is paused while the process starts, so nothing can come then.
    if (phase.kind === 'starting') this.#refuse({ field: 'message', description: 'came out of order' });
    else if (message.stdin) this.#onStdin(phase, message.stdin);
    else if (message.eof) phase.process.endStdin();
    else if (message.signal !== undefined) this.#onSignal(phase.process, message.signal);
    else if (message.resize) this.#onResize(phase.process, message.resize);
    else if (message.start) this.#refuse({ field: 'start', description: 'must be the first message only' });
    else if (message.attach) this.#refuse({ field: 'attach', description: 'must be the first message only' });
    else this.#refuse({ field: 'message', description: 'is empty' });
  }

  #start(first: ExecStreamRequest__Output): void {
    clearTimeout(this.#startTimer);
    this.#phase = { kind: 'starting' };
    this.#call.pause();
    this.#run(first).catch((error: unknown) => this.#streaming.fail(error));
  }

  async #run(first: ExecStreamRequest__Output): Promise<void> {
    const output = new ExecOutput((message) => this.#streaming.write(message));
    const process = await this.#begin(first, output);
    try {
      // Not awaited: what the process writes may queue behind it.
      this.#streaming.write({ started: process.started });
      output.attach(process);
      this.#phase = { kind: 'running', process };
      this.#call.resume();
      const exit = await process.exited;
      await output.flushed();
      this.#streaming.write({ exit: formatExit(exit) });
      this.#streaming.end();
    } finally {
      process.close();
    }
  }

  /** A terminal, and a process that outlives its stream, need a channel of their own; anything else is a spawn. */
  #begin(first: ExecStreamRequest__Output, output: ExecOutput): Promise<StreamedProcess> {
    const call = { edge: this.#edge, principal: this.#streaming.principal, signal: this.#streaming.signal };
    const { start, attach } = first;
    if (attach) return attachInSession(call, parseAttach(attach), output);
    if (start && (start.tty || start.detach || start.replayBytes !== undefined)) {
      return startInSession(call, parseSessionStart(start), output);
    }
    assertThat(!!start, 'a stream begins with start or attach');
    return spawnPlain(call, parseExecStart(start), output);
  }

  #onStdin(phase: Running, bytes: Buffer): void {
    if (!phase.process.takesStdin) {
      this.#refuse({ field: 'stdin', description: 'the command was started with no_stdin' });
      return;
    }
    this.#call.pause();
    phase.process.writeStdin(bytes).then(
      () => this.#call.resume(),
      (error: unknown) => this.#streaming.fail(error),
    );
  }

  #onResize(process: StreamedProcess, wire: Parameters<typeof parseTerminalSize>[0]): void {
    if (process.resize) {
      try {
        process.resize(parseTerminalSize(wire));
      } catch (error) {
        this.#streaming.fail(error);
      }
    } else this.#refuse({ field: 'resize', description: 'the command has no terminal' });
  }

  #onSignal(process: StreamedProcess, signalNumber: number): void {
    if (signalNumber >= 1 && signalNumber <= signalNumberMax) process.signal(signalNumber);
    else this.#refuse({ field: 'signal', description: `must be 1 to ${signalNumberMax}` });
  }

  #onHalfClose(): void {
    if (this.#phase.kind === 'waiting') {
      this.#refuse({ field: 'start', description: 'the stream ended before its first message' });
    } else if (this.#phase.kind === 'running' && this.#phase.process.endsWithStream) {
      this.#phase.process.endStdin();
    }
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
  readonly process: StreamedProcess;
}
