/** What `import … from 'warmpool/client'` gives in a browser: nothing of Node is behind it. */
export type { ReconnectOptions } from './backoff.ts';
export type { ByteInput } from './byte-streams.ts';
export type { CommandLine, SignalName } from './command.ts';
export type { ConnectionState } from './connection.ts';
export type { CommandEnd } from './process-handle.ts';
export type { CommandResult, ExecOptions } from './run-command.ts';
export { type ConnectSandbox, Sandbox, type SpawnOptions, type TerminalOptions } from './sandbox.ts';
export { SandboxFiles } from './sandbox-files.ts';
export { SandboxPorts, TunnelConnection } from './sandbox-ports.ts';
export { SandboxProcess } from './sandbox-process.ts';
export { SandboxProcesses } from './sandbox-processes.ts';
export { SandboxTerminal } from './sandbox-terminal.ts';
export { WarmpoolClientError, type WarmpoolClientErrorCode } from './warmpool-client-error.ts';
