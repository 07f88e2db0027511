import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  type CallOptions as GrpcCallOptions,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import type { OnMiss } from '../domain/pool-spec.ts';
import type { SandboxState } from '../domain/sandbox.ts';
import type { WatchSandboxesResponse__Output } from '../grpc/gen/warmpool/v1/WatchSandboxesResponse.ts';
import { contract } from '../grpc/wire/contract.ts';
import { wireOnMiss, wireState } from '../grpc/wire/enum-names.ts';
import { formatDuration } from '../grpc/wire/time.ts';
import { clientError } from './client-errors.ts';
import { type CommandExit, ExecSession, type OnOutput, parseExit } from './exec-session.ts';
import { KeepAliveSession } from './keep-alive-session.ts';
import {
  type NodeSummary,
  type PoolSummary,
  parseEvent,
  parseNode,
  parsePool,
  parseSandbox,
  type SandboxEventView,
  type SandboxView,
} from './views.ts';

export interface ConnectOptions {
  /** `wp_…`; absent for a service without keys. */
  readonly apiKey?: string;
}

export interface CallOptions {
  /** Cancels the call; it then rejects with WarmpoolError CANCELLED. */
  readonly signal?: AbortSignal;
  /** From now. Absent: the service's 30 seconds for single calls, none for streams. */
  readonly deadlineMs?: number;
}

export interface CreateOptions {
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly cwd?: string;
  readonly requestId?: string;
  readonly onMiss?: OnMiss;
  readonly waitMs?: number;
}

export interface ListFilter {
  readonly template?: string;
  readonly states?: readonly SandboxState[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly pageSize?: number;
}

export interface Command {
  readonly sandboxId: string;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly user?: string;
  readonly timeoutMs?: number;
}

export interface CommandResult extends CommandExit {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly stdoutTruncated: boolean;
  readonly stderrTruncated: boolean;
}

export type SizeOptions = {
  readonly minReady?: number;
  readonly maxReady?: number;
  readonly maxTotal?: number;
};

/** Does not wait: the first call connects, and rejects with ServiceUnreachableError when nobody answers. */
export function connect(address: string, options: ConnectOptions = {}): WarmpoolClient {
  return new WarmpoolClient(address, options);
}

/**
 * The service's calls as promises, over one connection. Every call rejects with the service's own WarmpoolError, or with
 * ServiceUnreachableError.
 */
export class WarmpoolClient implements Disposable {
  readonly address: string;
  readonly #apiKey: string | undefined;
  readonly #client: Client;

  constructor(address: string, options: ConnectOptions) {
    this.address = address;
    this.#apiKey = options.apiKey;
    this.#client = new Client(address, credentials.createInsecure(), channelOptions);
  }

  async create(template: string, options: CreateOptions = {}, call: CallOptions = {}): Promise<CreatedView> {
    const { timeoutMs, waitMs, onMiss, ...custom } = options;
    const request = {
      template,
      ...custom,
      ...(timeoutMs !== undefined && { timeout: formatDuration(timeoutMs) }),
      ...(waitMs !== undefined && { wait: formatDuration(waitMs) }),
      ...(onMiss !== undefined && { onMiss: wireOnMiss[onMiss] }),
    };
    const created = await this.#unary(sandboxes.CreateSandbox, request, call);
    return { ...parseSandbox(created.sandbox), repeated: created.repeated };
  }

  async get(id: string, call: CallOptions = {}): Promise<SandboxView> {
    const got = await this.#unary(sandboxes.GetSandbox, { id }, call);
    return parseSandbox(got.sandbox);
  }

  /** One page. */
  async listPage(filter: ListFilter = {}, pageToken = '', call: CallOptions = {}): Promise<SandboxPage> {
    const { states = [], ...others } = filter;
    const request = { ...others, states: states.map((state) => wireState[state]), pageToken };
    const page = await this.#unary(sandboxes.ListSandboxes, request, call);
    return { sandboxes: page.sandboxes.map(parseSandbox), nextPageToken: page.nextPageToken };
  }

  /** Every page, as it is asked for. */
  async *list(filter: ListFilter = {}, call: CallOptions = {}): AsyncGenerator<SandboxView, void> {
    let pageToken = '';
    do {
      const page = await this.listPage(filter, pageToken, call);
      yield* page.sandboxes;
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
  }

  /** Settles when the sandbox is gone. */
  async delete(id: string, call: CallOptions = {}): Promise<void> {
    await this.#unary(sandboxes.DeleteSandbox, { id }, call);
  }

  /** Renews the lease by `ttlMs`, or by its own timeout. */
  async keepAlive(id: string, ttlMs?: number, call: CallOptions = {}): Promise<SandboxView> {
    const request = { id, ...(ttlMs !== undefined && { ttl: formatDuration(ttlMs) }) };
    const renewed = await this.#unary(sandboxes.KeepAlive, request, call);
    return parseSandbox(renewed.sandbox);
  }

  /** Any number of leases over one stream. */
  keepAliveStream(call: CallOptions = {}): KeepAliveSession {
    const stream = this.#bidi(sandboxes.KeepAliveStream, call);
    return new KeepAliveSession(stream, (error) => clientError(error, this.address));
  }

  async setTimeout(id: string, timeoutMs: number, call: CallOptions = {}): Promise<SandboxView> {
    const request = { id, timeout: formatDuration(timeoutMs) };
    const changed = await this.#unary(sandboxes.SetTimeout, request, call);
    return parseSandbox(changed.sandbox);
  }

  /** Events until the signal aborts (then it returns) or the service ends the stream (then it throws). */
  async *watch(
    filter: { readonly id?: string; readonly afterEventId?: string; readonly onReady?: () => void } = {},
    call: CallOptions = {},
  ): AsyncGenerator<SandboxEventView, void> {
    const request = { id: filter.id ?? '', afterEventId: filter.afterEventId ?? '' };
    const stream = this.#serverStream(sandboxes.WatchSandboxes, request, call);
    stream.on('metadata', () => filter.onReady?.());
    try {
      for await (const message of stream as AsyncIterable<WatchSandboxesResponse__Output>) {
        if (message.event) yield parseEvent(message.event);
      }
    } catch (error) {
      if (!call.signal?.aborted) throw clientError(error as ServiceError, this.address);
    } finally {
      stream.cancel();
    }
  }

  /** Runs a command to its end, with bounded output. */
  async exec(
    command: Command & { readonly stdin?: Uint8Array; readonly outputLimitBytes?: number },
    call: CallOptions = {},
  ): Promise<CommandResult> {
    const { timeoutMs, argv, ...others } = command;
    const request = {
      ...others,
      argv: [...argv],
      ...(timeoutMs !== undefined && { timeout: formatDuration(timeoutMs) }),
    };
    const done = await this.#unary(commands.Exec, request, call);
    const { stdout, stderr, stdoutTruncated, stderrTruncated } = done;
    return { ...parseExit(done), stdout, stderr, stdoutTruncated, stderrTruncated };
  }

  /** Starts a command; its output goes to `onOutput`, its end is `exited` of the session. */
  execStream(
    command: Command & { readonly noStdin?: boolean },
    onOutput: OnOutput,
    call: CallOptions = {},
  ): ExecSession {
    const { timeoutMs, argv, ...others } = command;
    const start = {
      ...others,
      argv: [...argv],
      ...(timeoutMs !== undefined && { timeout: formatDuration(timeoutMs) }),
    };
    const stream = this.#bidi(commands.ExecStream, call);
    return new ExecSession(stream, start, onOutput, (error) => clientError(error, this.address));
  }

  async pools(call: CallOptions = {}): Promise<PoolSummary[]> {
    const listed = await this.#unary(pools.ListPools, {}, call);
    return listed.pools.map(parsePool);
  }

  async pool(name: string, call: CallOptions = {}): Promise<PoolSummary> {
    return parsePool((await this.#unary(pools.GetPool, { name }, call)).pool);
  }

  async scalePool(name: string, size: SizeOptions, call: CallOptions = {}): Promise<PoolSummary> {
    const request = { name, ...size };
    return parsePool((await this.#unary(pools.ScalePool, request, call)).pool);
  }

  async nodes(call: CallOptions = {}): Promise<NodeSummary[]> {
    return (await this.#unary(nodes.ListNodes, {}, call)).nodes.map(parseNode);
  }

  async node(id: string, call: CallOptions = {}): Promise<NodeSummary> {
    return parseNode((await this.#unary(nodes.GetNode, { id }, call)).node);
  }

  async cordonNode(id: string, call: CallOptions = {}): Promise<NodeSummary> {
    return parseNode((await this.#unary(nodes.CordonNode, { id }, call)).node);
  }

  async uncordonNode(id: string, call: CallOptions = {}): Promise<NodeSummary> {
    return parseNode((await this.#unary(nodes.UncordonNode, { id }, call)).node);
  }

  /** What still runs after `timeoutMs` (absent: never) is ended. Does not wait for that. */
  async drainNode(id: string, timeoutMs?: number, call: CallOptions = {}): Promise<NodeSummary> {
    const request = { id, ...(timeoutMs !== undefined && { timeout: formatDuration(timeoutMs) }) };
    return parseNode((await this.#unary(nodes.DrainNode, request, call)).node);
  }

  /** Open streams are cut. */
  close(): void {
    this.#client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #unary<Request extends object, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      const { path, requestSerialize, responseDeserialize } = method;
      const done = (error: ServiceError | null, response?: Response) => {
        signal?.removeEventListener('abort', cancel);
        if (error) reject(clientError(error, this.address));
        else if (response === undefined) reject(new Error('the service answered nothing'));
        else resolve(response);
      };
      const [metadata, settings] = [this.#metadata(), grpcOptions(options)];
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        settings,
        done,
      );
      const cancel = () => call.cancel();
      if (signal?.aborted) cancel();
      else signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  #serverStream<Request extends object, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions,
  ): ClientReadableStream<Response> {
    const { path, requestSerialize, responseDeserialize } = method;
    const [metadata, settings] = [this.#metadata(), grpcOptions(options)];
    const stream = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      settings,
    );
    cancelOnAbort(stream, options.signal);
    return stream;
  }

  #bidi<Request extends object, Response>(
    method: Method<Request, Response>,
    options: CallOptions,
  ): ClientDuplexStream<Request, Response> {
    const { path, requestSerialize, responseDeserialize } = method;
    const [metadata, settings] = [this.#metadata(), grpcOptions(options)];
    const stream = this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
      settings,
    );
    cancelOnAbort(stream, options.signal);
    return stream;
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#apiKey !== undefined) metadata.set('authorization', `Bearer ${this.#apiKey}`);
    return metadata;
  }
}

export interface CreatedView extends SandboxView {
  /** The request id was seen before: this is the sandbox of that time. */
  readonly repeated: boolean;
}

export interface SandboxPage {
  readonly sandboxes: readonly SandboxView[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

const sandboxes = contract.SandboxService.service;
const commands = contract.ExecService.service;
const pools = contract.PoolService.service;
const nodes = contract.NodeService.service;

type Method<Request extends object, Response> = Pick<
  MethodDefinition<Request, object, unknown, Response>,
  'path' | 'requestSerialize' | 'responseDeserialize'
>;

/** Pings stay at 30 s: servers and proxies in other languages punish faster ones. */
const channelOptions = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
  'grpc.enable_channelz': 0,
};

function grpcOptions(options: CallOptions): GrpcCallOptions {
  return options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
}

function cancelOnAbort(
  stream: { cancel(): void; on(event: 'status', listener: () => void): unknown },
  signal: AbortSignal | undefined,
): void {
  if (!signal) return;
  const cancel = () => stream.cancel();
  if (signal.aborted) cancel();
  else signal.addEventListener('abort', cancel, { once: true });
  stream.on('status', () => signal.removeEventListener('abort', cancel));
}
