import { constants } from 'node:os';
import type { ConnectionState } from '../client/connection.ts';
import type { NodeSandbox } from '../client/node/node-sandbox.ts';
import type { CommandEnd } from '../client/process-handle.ts';
import type { SandboxTerminal } from '../client/sandbox-terminal.ts';
import { EscapeKeys, escapeHelp } from './escape-keys.ts';
import { describeFailure, exitCodes } from './failure.ts';
import { LocalTerminal } from './local-terminal.ts';
import { printable } from './printable.ts';

/**
 * This terminal as the terminal of a process in a sandbox, until that ends, or whoever sits here leaves it. Resolves to
 * the exit code a shell would give. Output is taken no faster than this terminal shows it; the terminal is as it was
 * before, however this ends.
 */
export async function runOnThisTerminal(
  sandbox: NodeSandbox,
  start: (size: { readonly cols: number; readonly rows: number }) => Promise<SandboxTerminal>,
): Promise<number> {
  using local = new LocalTerminal();
  const terminal = await start(local.size);
  const leaving = new Leaving(terminal);
  using _resizes = local.onResize((size) => terminal.resize(size));
  using _signals = local.onSignal((signal) =>
    leaving.hangUp(exitCodes.signalled + constants.signals[signal]),
  );
  const stopTelling = tellOfCuts(sandbox, local);
  local.becomeRaw();
  const typing = forwardKeys(local, terminal, leaving);
  try {
    const shown = showOutput(local, terminal);
    const end = await Promise.race([leaving.left, shown.then(() => terminal.wait())]);
    if (typeof end === 'number') return end;
    return exitCodeOf(end);
  } catch (error) {
    // Leaving ends the output, too, and that is no failure.
    if (leaving.isLeft) return await leaving.left;
    local.resetScreen();
    const number = terminal.number;
    local.say(
      `${describeFailure(error)} (if it still runs, warmpool shell --attach ${number} goes on with it)`,
    );
    return exitCodes.warmpool;
  } finally {
    stopTelling();
    typing.stop();
    if (leaving.isLeft) {
      local.resetScreen();
      local.say(leaving.farewell);
    }
  }
}

/** The ways to leave before the program ends. */
class Leaving {
  readonly left: Promise<number>;
  farewell = '';
  isLeft = false;
  readonly #terminal: SandboxTerminal;
  #leave: (exitCode: number) => void = () => {};

  constructor(terminal: SandboxTerminal) {
    this.#terminal = terminal;
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  hangUp(exitCode: number): void {
    this.#terminal.signal('SIGHUP');
    // An interactive shell waits for what runs in front of it.
    this.#terminal.signal('SIGCONT');
    this.#end('hung up', exitCode);
  }

  leaveRunning(): void {
    const { number } = this.#terminal;
    this.#end(`left it running; warmpool shell --attach ${number} goes on with it`, 0);
  }

  #end(farewell: string, exitCode: number): void {
    this.isLeft = true;
    this.farewell = farewell;
    const leave = () => this.#leave(exitCode);
    this.#terminal.detach().then(leave, leave);
    // Whoever wants to go does not wait for a node that does not answer.
    setTimeout(leave, goodbyeMsMax).unref();
  }
}

async function showOutput(local: LocalTerminal, terminal: SandboxTerminal): Promise<void> {
  for await (const bytes of terminal.output) await local.show(bytes);
}

export function forwardKeys(
  local: Pick<LocalTerminal, 'isTerminal' | 'onKeys' | 'pauseKeys' | 'resumeKeys' | 'say'>,
  terminal: Pick<SandboxTerminal, 'write' | 'end'>,
  leaving: Pick<Leaving, 'hangUp' | 'leaveRunning'>,
): { readonly stop: () => void } {
  const keys = new EscapeKeys();
  // While the other side takes nothing, the keys that are meant for this side must be heard all the same.
  const aheadMax = local.isTerminal ? typedAheadBytesMax : 0;
  let aheadBytes = 0;
  const onData = (typed: Buffer) => {
    const { bytes, wish } = local.isTerminal ? keys.take(typed) : { bytes: typed, wish: null };
    aheadBytes += bytes.length;
    if (aheadBytes > aheadMax) local.pauseKeys();
    terminal.write(bytes).then(
      () => {
        aheadBytes -= bytes.length;
        if (aheadBytes <= aheadMax) local.resumeKeys();
      },
      () => {},
    );
    if (wish === 'hang up') leaving.hangUp(exitCodes.signalled + constants.signals.SIGHUP);
    else if (wish === 'leave') leaving.leaveRunning();
    else if (wish === 'help') local.say(escapeHelp);
  };
  const stopKeys = local.onKeys(onData, () => terminal.end());
  return { stop: stopKeys };
}

/** A cut of less than a moment is not worth a line on the screen of an editor. */
function tellOfCuts(sandbox: NodeSandbox, local: LocalTerminal): () => void {
  let timer: NodeJS.Timeout | undefined;
  let told = false;
  const stop = sandbox.onState((state: ConnectionState) => {
    if (state.state === 'reconnecting' && timer === undefined) {
      timer = setTimeout(() => {
        told = true;
        local.say(`${printable(state.error.message)}; connecting again … (~. gives up)`);
      }, tellAfterMs);
    } else if (state.state === 'connected' && timer !== undefined) {
      clearTimeout(timer);
      timer = undefined;
      if (told) local.say('connected again');
      told = false;
    }
  });
  return () => {
    stop();
    clearTimeout(timer);
  };
}

/** More than anybody types while a connection is made again; a paste over it waits in the terminal. */
const typedAheadBytesMax = 65_536;
const tellAfterMs = 1_500;
const goodbyeMsMax = 2_000;

function exitCodeOf(end: CommandEnd): number {
  if (end.timedOut) return exitCodes.timedOut;
  return end.signal === null ? (end.exitCode ?? exitCodes.warmpool) : exitCodes.signalled + end.signal;
}
