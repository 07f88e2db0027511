import { readFileSync } from 'node:fs';
import { Agent, type AgentOptions } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { join } from 'node:path';
import Docker from 'dockerode';
import { WarmpoolError } from '../../domain/errors.ts';

export interface EngineAddress {
  /** `unix:///path`, an absolute path, `tcp://host:port`; null is the default socket. */
  readonly dockerHost: string | null;
  /** Holds ca.pem, cert.pem and key.pem for a remote engine; null when there is none. */
  readonly certFolder: string | null;
}

/**
 * A client of one engine and the agent that keeps its connections. Everything is given explicitly, because the library
 * otherwise mixes in whatever DOCKER_* variables the process has.
 */
export interface EngineConnection {
  readonly docker: Docker;
  readonly agent: Agent;
  /** Whether the engine runs under this host's clock. */
  readonly local: boolean;
}

/** Throws INVALID_REQUEST for an address that cannot be used, or not safely (HARDENING.md, K9). */
export function connectToEngine(address: EngineAddress): EngineConnection {
  const dockerHost = address.dockerHost ?? `unix://${defaultSocketPath}`;
  const socketPath = dockerHost.startsWith('unix://') ? dockerHost.slice('unix://'.length) : dockerHost;
  if (socketPath.startsWith('/')) {
    const agent = new Agent(agentOptions);
    return { docker: newClient({ host: '', socketPath, agent }), agent, local: true };
  }
  return connectOverTls(dockerHost, address.certFolder);
}

function connectOverTls(dockerHost: string, certFolder: string | null): EngineConnection {
  const url = URL.canParse(dockerHost) ? new URL(dockerHost) : null;
  if (url === null || !['tcp:', 'https:'].includes(url.protocol)) {
    throw badAddress(
      `"${dockerHost}" is not unix:///path or tcp://host:port (for ssh, forward the socket: ssh -L)`,
    );
  }
  if (certFolder === null) {
    throw badAddress(
      `"${dockerHost}" is a remote engine: it is used over TLS with client certificates only ` +
        '(DOCKER_CERT_PATH with ca.pem, cert.pem and key.pem), because who reaches an engine is root on its host',
    );
  }
  const identity = {
    ca: readPem(certFolder, 'ca.pem'),
    cert: readPem(certFolder, 'cert.pem'),
    key: readPem(certFolder, 'key.pem'),
  };
  const agent = new TlsAgent({ ...agentOptions, ...identity });
  const port = url.port === '' ? 2376 : Number(url.port);
  const docker = newClient({
    ...identity,
    protocol: 'https',
    host: url.hostname,
    port,
    agent,
  });
  return { docker, agent, local: false };
}

function readPem(certFolder: string, name: string): Buffer {
  try {
    return readFileSync(join(certFolder, name));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw badAddress(`${name} in "${certFolder}" (DOCKER_CERT_PATH) cannot be read (${code})`);
  }
}

/** The library's type lacks `agent`. */
function newClient(options: Docker.DockerOptions & { agent: Agent }): Docker {
  return new Docker({ ...options, timeout: silenceMsMax });
}

function badAddress(description: string): WarmpoolError {
  return new WarmpoolError('INVALID_REQUEST', `docker: ${description}`, {
    violations: [{ field: 'DOCKER_HOST', description }],
  });
}

const defaultSocketPath = '/var/run/docker.sock';
/** Plain calls reuse connections (a new one costs about 0.2 ms and a descriptor); links leave the agent when hijacked. */
const agentOptions: AgentOptions = { keepAlive: true, maxSockets: 32, maxFreeSockets: 8 };
/** A call the engine says nothing about for this long counts as unanswered; removing a container may take 10 s. */
const silenceMsMax = 60_000;
