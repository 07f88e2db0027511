import type { Duplex } from 'node:stream';
import { DataConnection } from '../connection.ts';
import { type ConnectSandbox, Sandbox } from '../sandbox.ts';
import type { AbortOptions } from '../sandbox-files.ts';
import { SandboxPorts } from '../sandbox-ports.ts';
import { dialNode } from './dial-node.ts';
import { NodeSandboxFiles } from './node-sandbox-files.ts';
import { type ForwardOptions, PortForward } from './port-forward.ts';
import { TunnelStream } from './tunnel-stream.ts';

/** A sandbox, with what only Node can do: the local disk, local ports, streams of Node. */
export class NodeSandbox extends Sandbox {
  override readonly files: NodeSandboxFiles;
  override readonly ports: NodeSandboxPorts;

  /** Rejects when there is no connection to be had: `unreachable`, `unauthenticated`, `sandbox_not_found`, … */
  static override async connect(options: ConnectSandbox): Promise<NodeSandbox> {
    const connection = openConnection(options);
    await connection.ready(options.signal);
    return new NodeSandbox(connection);
  }

  constructor(connection: DataConnection) {
    super(connection);
    this.files = new NodeSandboxFiles(connection);
    this.ports = new NodeSandboxPorts(connection);
  }
}

export class NodeSandboxPorts extends SandboxPorts {
  /** A TCP connection to a port inside, as a stream of Node. */
  async connectStream(port: number, options: AbortOptions = {}): Promise<Duplex> {
    return new TunnelStream(await this.connect(port, options));
  }

  /** Lets local programs reach a port inside, on the same port of this machine unless told otherwise. */
  forward(port: number, options: ForwardOptions = {}): Promise<PortForward> {
    return PortForward.open(this, port, options);
  }
}

/** Connects at the first use. */
export function openConnection(options: ConnectSandbox): DataConnection {
  const { wsUrl, token, reconnect } = options;
  return new DataConnection({ dial: dialNode }, { url: wsUrl, token, reconnect });
}
