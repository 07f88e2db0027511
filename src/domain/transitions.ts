import type { SandboxState } from './sandbox.ts';

/**
 * The table of allowed transitions, once, as data: the memory store asserts it, the Redis scripts are generated with
 * it, the model test walks it. `starting → running` is a cold launch, which is claimed before it boots.
 */
export const transitions: Readonly<Record<SandboxState, readonly SandboxState[]>> = {
  starting: ['ready', 'running', 'stopping', 'failed'],
  ready: ['running', 'stopping', 'failed'],
  running: ['pausing', 'hibernating', 'stopping', 'failed'],
  pausing: ['paused', 'stopping', 'failed'],
  paused: ['resuming', 'hibernating', 'stopping', 'failed'],
  resuming: ['running', 'stopping', 'failed'],
  hibernating: ['hibernated', 'stopping', 'failed'],
  hibernated: ['waking', 'stopping', 'failed'],
  waking: ['running', 'stopping', 'failed'],
  stopping: ['stopped', 'failed'],
  stopped: [],
  failed: [],
};

export function isAllowed(from: SandboxState, to: SandboxState): boolean {
  return transitions[from].includes(to);
}

export function isEnded(state: SandboxState): boolean {
  return transitions[state].length === 0;
}
