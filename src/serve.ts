import { closeSync, openSync } from 'node:fs';
import type { ServeOptions } from './cli/program.ts';
import type { Config } from './config/config.ts';
import { ConfigError } from './config/config-error.ts';
import { loadConfig } from './config/load-config.ts';
import { isWarmpoolError } from './domain/errors.ts';
import { armFailpoints } from './failpoints.ts';
import { createLogger, type Logger } from './observability/logger.ts';
import { type Service, startService } from './service/service.ts';
import { startServiceWithWorkers, type WorkerSources } from './service/service-with-workers.ts';
import { isWorker, leaveWorkers, tellServing } from './service/workers.ts';

/**
 * `warmpool serve`: runs the service until SIGTERM or SIGINT. The first one drains (nothing is left behind), a second
 * one ends the process at once; the next start then cleans up. SIGHUP reads the pool files again, unless it says that the
 * terminal is gone on which all this was shown: then it is as SIGTERM. All of them are heeded from before the start on: their
 * default effect would end the process in the middle of making things.
 */
export async function serve(options: ServeOptions): Promise<void> {
  // Reading the configuration takes what is secret out of it; workers are to have all of it.
  const env = { ...process.env };
  const config = readConfig(options);
  if (!config) return;
  const refusal = armFailpoints(process.env);
  if (refusal !== null) {
    process.stderr.write(`warmpool: ${refusal}\n`);
    process.exitCode = exitUsage;
    return;
  }
  const log = createLogger({ level: config.logLevel });
  using signals = new Signals();
  await run(config, log, signals, {
    env,
    ...(options.config !== undefined && { configFile: options.config }),
  });
  leaveWorkers();
}

async function run(config: Config, log: Logger, signals: Signals, sources: WorkerSources): Promise<void> {
  let service: Service;
  try {
    service =
      config.workers > 1
        ? await startServiceWithWorkers(config, log, sources)
        : await startService(config, log);
  } catch (error) {
    // Where the error says all there is to know, what was called on the way to it says nothing.
    log.error(
      isWarmpoolError(error) ? { reason: error.message } : { err: error },
      'the service could not start',
    );
    process.stderr.write(`warmpool: ${isWarmpoolError(error) ? error.message : String(error)}\n`);
    process.exitCode = exitFailed;
    return;
  }
  await announce(service, config, log).catch((error: unknown) => {
    log.warn({ err: error }, 'warmpool is serving, but how its pools are cannot be said now');
  });
  await untilStopped(service, signals, log);
}

function readConfig({ config: configFile, ...flags }: ServeOptions): Config | null {
  try {
    return loadConfig({ env: process.env, flags, ...(configFile !== undefined && { configFile }) });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`warmpool: ${error.message}\n`);
    process.exitCode = exitUsage;
    return null;
  }
}

/** For people on a terminal: where it listens, how the pools fill, and a line to try. For programs: one log line. */
async function announce(service: Service, config: Config, log: Logger): Promise<void> {
  const { addresses, storeName } = service;
  if (isWorker()) {
    log.info({ ...addresses, pid: process.pid }, 'a worker serves');
    tellServing(addresses);
    return;
  }
  const pools = await service.pools();
  log.info(
    { role: config.role, ...addresses, store: storeName, pools: pools.map((pool) => pool.name) },
    'warmpool is serving',
  );
  if (!process.stdout.isTTY) {
    if (config.apiKeys.length === 0)
      log.warn(
        {},
        'no API keys are configured: only this machine can connect, and whoever does may do everything',
      );
    return;
  }
  const auth =
    config.apiKeys.length === 0
      ? 'none: no API keys are configured, so only this machine can connect'
      : 'API keys';
  const [first] = pools;
  const address = addresses.grpc === '127.0.0.1:50051' ? '' : `WARMPOOL_ADDRESS=${addresses.grpc} `;
  const isAllocator = config.role === 'allocator';
  const lines = [
    '',
    `  role      ${roleText[config.role]}`,
    ...(config.workers > 1 ? [`  workers   ${config.workers}`] : []),
    ...(addresses.grpc === undefined ? [] : [`  gRPC      ${addresses.grpc}`]),
    `  HTTP      ${addresses.http}  (/metrics /healthz /readyz)`,
    `  data      ${addresses.data}  (WebSockets: ws_url of each sandbox)`,
    `  store     ${storeName}`,
    `  auth      ${auth}`,
    ...pools.map(({ name, target, runtime }) => {
      const place = isAllocator ? 'its nodes' : runtime || 'no runtime';
      return `  pool      ${name}: filling to ${target} on ${place}`;
    }),
    '',
    ...(addresses.grpc === undefined
      ? []
      : [`  Try:      ${address}npx warmpool run ${first?.name ?? 'base'} -- uname -a`, '']),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

const roleText: Readonly<Record<Config['role'], string>> = {
  all: 'all (serves calls and has sandboxes)',
  allocator: 'allocator (serves calls; nodes have the sandboxes)',
  node: 'node (has sandboxes; allocators serve the calls)',
};

async function untilStopped(service: Service, signals: Signals, log: Logger): Promise<void> {
  signals.onReload(() => {
    service.reload().catch((error: unknown) => {
      log.error({ err: error }, 'the pool files were not read again; the pools stay as they are');
    });
  });
  const name = await signals.stop;
  signals.onReload(() => {});
  log.info({ signal: name }, 'draining; the same signal again ends the process at once');
  try {
    await service[Symbol.asyncDispose]();
    log.info({}, 'stopped; nothing is left behind');
  } catch (error) {
    log.error({ err: error }, 'stopped, but not everything could be closed; the next start cleans up');
    process.exitCode = exitFailed;
  }
}

/** Owns this process's signals. A reload asked for before anybody can do it is done then; the second stop is at once. */
class Signals implements Disposable {
  readonly stop: Promise<NodeJS.Signals>;
  readonly #onStop: (name: NodeJS.Signals) => void;
  /** A service whose output goes elsewhere (`nohup`, a unit, a container) goes on without the terminal. */
  readonly #isOnTerminal = process.stdout.isTTY === true && hasTerminal();
  #reload: (() => void) | null = null;
  #reloadAsked = false;
  #isHungUp = false;

  constructor() {
    let first: (name: NodeJS.Signals) => void = () => {};
    this.stop = new Promise((resolve) => {
      first = resolve;
    });
    let count = 0;
    // One listener for both: between taking one off and putting another on, a signal would have its default effect.
    this.#onStop = (name) => {
      count += 1;
      // A worker hears of one stop twice, by the terminal or the service manager and by the process above it; when that one
      // is made to end at once, its workers end with it.
      if (count > 1 && !isWorker()) process.exit(exitForced);
      first(name);
    };
    process.on('SIGTERM', this.#onStop);
    process.on('SIGINT', this.#onStop);
    process.on('SIGHUP', this.#onHangUp);
  }

  onReload(reload: () => void): void {
    this.#reload = reload;
    if (this.#reloadAsked) reload();
    this.#reloadAsked = false;
  }

  [Symbol.dispose](): void {
    process.off('SIGTERM', this.#onStop);
    process.off('SIGINT', this.#onStop);
    process.off('SIGHUP', this.#onHangUp);
    // Node aborts at its end when it cannot give back a terminal as it was: it is to end as it was told to.
    if (this.#isHungUp) process.kill(process.pid, 'SIGHUP');
  }

  readonly #onHangUp = (): void => {
    // The shell says it once more, and that is no second wish.
    if (this.#isHungUp) return;
    // Nobody is there any more who could press ^C, and the ports and the state folder are not to stay taken for ever.
    if (this.#isOnTerminal && !hasTerminal()) {
      this.#isHungUp = true;
      this.#onStop('SIGHUP');
    } else if (this.#reload) this.#reload();
    else this.#reloadAsked = true;
  };
}

/** Opening it fails when there is none, or when it was hung up. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}

const exitFailed = 1;
/** As the command line's own usage errors. */
const exitUsage = 2;
/** 128 + SIGTERM. */
const exitForced = 143;
