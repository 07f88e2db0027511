/** What `import … from 'warmpool/client'` gives in Node. */
export type { ReconnectOptions } from '../backoff.ts';
export type { ByteInput } from '../byte-streams.ts';
export type { CommandLine, SignalName } from '../command.ts';
export type { ConnectionState } from '../connection.ts';
export type { CallOptions, CreateOptions, ListFilter } from '../grpc-client.ts';
export type { CommandEnd } from '../process-handle.ts';
export type { CommandResult, ExecOptions } from '../run-command.ts';
export type { ConnectSandbox, SpawnOptions, TerminalOptions } from '../sandbox.ts';
export { TunnelConnection } from '../sandbox-ports.ts';
export { SandboxProcess } from '../sandbox-process.ts';
export { SandboxProcesses } from '../sandbox-processes.ts';
export { SandboxTerminal } from '../sandbox-terminal.ts';
export type { SandboxView } from '../views.ts';
export { WarmpoolClientError, type WarmpoolClientErrorCode } from '../warmpool-client-error.ts';
export { NodeSandbox as Sandbox, NodeSandboxPorts as SandboxPorts } from './node-sandbox.ts';
export {
  NodeSandboxFiles as SandboxFiles,
  type TransferOptions,
  type TransferProgress,
  type Transferred,
} from './node-sandbox-files.ts';
export { PortForward } from './port-forward.ts';
export { ServiceSandbox, Warmpool, type WarmpoolOptions } from './warmpool.ts';
