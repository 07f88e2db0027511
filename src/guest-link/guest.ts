import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { TerminalSize } from '../../protocol/exec-messages.ts';

/**
 * What the node and the allocator can ask of the agent inside a sandbox. GuestLink implements it over the framed
 * stream of protocol/README.md; tests may implement it in memory. As a ChannelOpener it carries everything that the
 * protocol has; `spawn` and `ping` are the typed calls that the node itself needs.
 */
export interface Guest extends ChannelOpener {
  /** Starts a process. Throws WarmpoolError (COMMAND_NOT_FOUND, CWD_INVALID, USER_UNKNOWN, …, GUEST_UNREACHABLE). */
  spawn(command: GuestCommand, output: OutputSink): Promise<GuestProcess>;
  /** Round trip; rejects with GUEST_UNREACHABLE when the link is lost or the guest stays silent for `timeoutMs`. */
  ping(timeoutMs: number): Promise<void>;
}

export interface GuestCommand {
  readonly argv: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly user: string;
  /** False: stdin is /dev/null. */
  readonly stdin: boolean;
  /** 0: none. Enforced by the guest. */
  readonly timeoutMs: number;
  /** A terminal of its own, of this size; then `stdin` is true and all output is stdout. */
  readonly tty?: TerminalSize;
  /** It outlives the link, and can be attached to again. */
  readonly detach?: boolean;
  /** With `detach`: bytes of output that are kept for that. */
  readonly replay?: number;
}

/**
 * Where output goes, in order, as it arrives. The bytes are the receiver's to keep. Each byte counts against the
 * process's credit window until `GuestProcess.release` gives it back, so a slow receiver holds at most one window.
 */
export interface OutputSink {
  onOutput(stream: 'stdout' | 'stderr', bytes: Buffer): void;
}

export interface GuestProcess {
  readonly pid: number;
  /** Numbers the processes of one sandbox from 1; what an attach names. */
  readonly process: number;
  /** Rejects with GUEST_UNREACHABLE when the link is lost first. All output has been delivered before it settles. */
  readonly exited: Promise<ProcessExit>;
  /** Gives back credit for `byteCount` delivered bytes. */
  release(byteCount: number): void;
  /**
   * Settles when the bytes are on their way (within the stdin window). They are given away: do not change them later.
   * Rejects GUEST_UNREACHABLE; fine after exit.
   */
  writeStdin(bytes: Uint8Array): Promise<void>;
  endStdin(): void;
  /** Linux signal number, to the process group. Fine after exit. */
  signal(signalNumber: number): void;
  /** Of the terminal; nothing without one. Fine after exit. */
  resize(size: TerminalSize): void;
}

export interface ProcessExit {
  /** Exactly one of the two is set. */
  readonly exitCode: number | null;
  readonly signal: number | null;
  readonly timedOut: boolean;
  /** Start to end of the process, measured by the guest. */
  readonly durationUs: number;
}
