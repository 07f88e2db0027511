import type { Frame } from '../../../protocol/frame.ts';
import {
  parseXgenExecResize,
  parseXgenExecSignal,
  parseXgenExecStart,
  splitXgenStdin,
  xgenTypes,
} from '../../../protocol/xgen-messages.ts';
import type { Process } from '../../operations/process.ts';
import { XgenExec, type XgenExecDeps, xgenTerminalSize } from './xgen-exec.ts';
import { refusal, type XgenRefusal, type XgenReplies } from './xgen-replies.ts';
import { xgenSignals } from './xgen-signals.ts';

export interface XgenProcessesDeps extends XgenExecDeps {
  readonly replies: XgenReplies;
  /** The client has used the sandbox. */
  readonly used: () => void;
  /** The last process has ended. */
  readonly onEmpty: () => void;
}

/**
 * The processes of one connection by their channel, each until its ExecExit was sent, and the frames that are for them. A
 * frame names its process by its channel, or by the process id that the Ack has told.
 */
export class XgenProcesses {
  readonly #deps: XgenProcessesDeps;
  readonly #execs = new Map<number, XgenExec>();

  constructor(deps: XgenProcessesDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#execs.size;
  }

  onChannel(channel: number): XgenExec | undefined {
    return this.#execs.get(channel);
  }

  /** Undefined: it is being answered, or needs no answer. */
  onFrame(frame: Frame): XgenRefusal | undefined {
    switch (frame.type) {
      case xgenTypes.ExecStart:
        return this.#onStart(frame);
      case xgenTypes.ExecStdin:
        return this.#onStdin(frame);
      case xgenTypes.ExecSignal:
        return this.#onSignal(frame);
      case xgenTypes.ExecResize:
        return this.#onResize(frame);
      default:
        return this.#onChannelClose(frame);
    }
  }

  /** The client has gone. */
  abandonAll(): void {
    for (const exec of this.#execs.values()) exec.abandon();
  }

  #onStart(frame: Frame): XgenRefusal | undefined {
    const start = parseXgenExecStart(frame.payload);
    if ('error' in start) return refusal('invalid_payload', start.error);
    if (start.value.command === '') return refusal('invalid_payload', 'command: empty');
    const channel = frame.channel === 0 ? this.#freeChannel() : frame.channel;
    if (this.#execs.has(channel)) return refusal('channel_in_use', `channel ${channel} is in use`);
    this.#deps.used();
    const request = { start: start.value, channel, askedChannel: frame.channel, id: frame.id };
    const exec = new XgenExec(this.#deps, request);
    this.#execs.set(channel, exec);
    void exec.ended.then(() => {
      this.#execs.delete(channel);
      if (this.#execs.size === 0) this.#deps.onEmpty();
    });
    return undefined;
  }

  #freeChannel(): number {
    for (let channel = chosenChannelMin; ; channel++) if (!this.#execs.has(channel)) return channel;
  }

  #onStdin(frame: Frame): XgenRefusal | undefined {
    const { processId, bytes } = splitXgenStdin(frame.payload, (id) => this.#process(id) !== undefined);
    const exec = this.#execOf(frame, processId);
    if (exec === undefined) return noProcess(frame);
    this.#deps.used();
    exec.input(bytes, (done) => this.#answerIfAsked(frame, exec, done));
    return undefined;
  }

  #onChannelClose(frame: Frame): XgenRefusal | undefined {
    const exec = this.#execOf(frame, 0);
    if (exec === undefined) return noProcess(frame);
    // The end-of-file character ends what reads the terminal now; whatever reads it next still wants its input.
    if (exec.isTerminal) exec.input(endOfFileCharacter, (done) => this.#answerIfAsked(frame, exec, done));
    else this.#ask(frame, exec, (process) => process.endInput());
    return undefined;
  }

  #onSignal(frame: Frame): XgenRefusal | undefined {
    const parsed = parseXgenExecSignal(frame.payload);
    if ('error' in parsed) return refusal('invalid_payload', parsed.error);
    const signal = xgenSignals.get(parsed.value.signal);
    if (signal === undefined) return refusal('invalid_payload', 'signal: not one of the known names');
    const exec = this.#execOf(frame, parsed.value.processId);
    if (exec === undefined) return noProcess(frame);
    this.#ask(frame, exec, (process) => process.signal(signal));
    return undefined;
  }

  #onResize(frame: Frame): XgenRefusal | undefined {
    const parsed = parseXgenExecResize(frame.payload);
    if ('error' in parsed) return refusal('invalid_payload', parsed.error);
    const exec = this.#execOf(frame, parsed.value.processId);
    if (exec === undefined) return noProcess(frame);
    const size = xgenTerminalSize(parsed.value);
    this.#ask(frame, exec, (process) => {
      if (exec.isTerminal) process.resize(size);
    });
    return undefined;
  }

  #ask(frame: Frame, exec: XgenExec, act: (process: Process) => void): void {
    exec.do({ act, answer: (done) => this.#answerIfAsked(frame, exec, done) });
  }

  /** The process that a frame means: by its id, or the one of the frame's channel. */
  #execOf(frame: Frame, processId: number): XgenExec | undefined {
    return processId === 0 ? this.#execs.get(frame.channel) : this.#process(processId);
  }

  #process(processId: number): XgenExec | undefined {
    for (const exec of this.#execs.values()) if (exec.processId === processId) return exec;
    return undefined;
  }

  /** What comes for a process is answered only to whoever gave it an id. */
  #answerIfAsked(frame: Frame, exec: XgenExec, done: boolean): void {
    if (frame.id === 0) return;
    if (done) this.#deps.replies.acknowledge(frame, exec);
    else this.#deps.replies.refuse(frame, noProcess(frame));
  }
}

function noProcess({ channel }: Frame): XgenRefusal {
  return refusal('exec_failed', `no process on channel ${channel}`);
}

/** Below it are the channels that people choose by hand. */
const chosenChannelMin = 101;
const endOfFileCharacter = Uint8Array.of(0x04);
