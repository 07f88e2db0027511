import { type Command, Option } from 'commander';
import type { CallOptions, CreateOptions } from '../client/grpc-client.ts';
import type { OnMiss } from '../domain/pool-spec.ts';
import { collectPair, durationOption, given } from './options.ts';

/** What `create` and `run` may ask of a sandbox. */
export interface CreateFlags {
  readonly timeout?: number;
  readonly env?: Record<string, string>;
  readonly metadata?: Record<string, string>;
  readonly user?: string;
  readonly cwd?: string;
  readonly onMiss?: OnMiss;
  readonly wait?: number;
  readonly requestId?: string;
}

export function withCreateFlags(command: Command): Command {
  return command
    .option('--timeout <duration>', 'how long it lives without a keepalive', durationOption)
    .option('--env <K=V>', 'environment of its commands; may be repeated', collectPair)
    .option('--metadata <K=V>', 'kept with it; may be repeated', collectPair)
    .option('--user <name>', 'user of its commands')
    .option('--cwd <dir>', 'directory of its commands')
    .addOption(new Option('--on-miss <what>', 'when none is ready').choices(['cold', 'wait', 'fail']))
    .option('--wait <duration>', 'how long --on-miss wait waits', durationOption);
}

export function createOptions(flags: CreateFlags): CreateOptions {
  const { timeout, wait, env, metadata, user, cwd, onMiss, requestId } = flags;
  return given({ timeoutMs: timeout, waitMs: wait, env, metadata, user, cwd, onMiss, requestId });
}

/** Longer than a call gets by itself: a cold start may wait for its turn and then boot, and `--wait` is longer still. */
export function createCall(flags: CreateFlags): CallOptions {
  return { deadlineMs: 120_000 + (flags.wait ?? 0) };
}
