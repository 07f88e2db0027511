import type { Command } from 'commander';
import { connect, type WarmpoolClient } from '../client/grpc-client.ts';

export const defaultAddress = '127.0.0.1:50051';

/** Runs a task with a client of the service that the command line or the environment names, and closes it. */
export async function withClient<T>(
  command: Command,
  task: (client: WarmpoolClient) => Promise<T>,
): Promise<T> {
  const { address } = command.optsWithGlobals<{ address?: string }>();
  const key = apiKey();
  using client = connect(
    address ?? (process.env.WARMPOOL_ADDRESS || defaultAddress),
    key === undefined ? {} : { apiKey: key },
  );
  return await task(client);
}

/** From the environment only: argv can be read by everybody on the machine. */
export function apiKey(): string | undefined {
  return process.env.WARMPOOL_API_KEY || undefined;
}
