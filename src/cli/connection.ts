import type { Command } from 'commander';
import { connect, type WarmpoolClient } from '../client/grpc-client.ts';

export const defaultAddress = '127.0.0.1:50051';

/** Runs a task with a client of the service that the command line or the environment names, and closes it. */
export async function withClient<T>(
  command: Command,
  task: (client: WarmpoolClient) => Promise<T>,
): Promise<T> {
  const { address } = command.optsWithGlobals<{ address?: string }>();
  // The key comes from the environment only: argv can be read by everybody on the machine.
  const apiKey = process.env.WARMPOOL_API_KEY;
  using client = connect(
    address ?? (process.env.WARMPOOL_ADDRESS || defaultAddress),
    apiKey === undefined || apiKey === '' ? {} : { apiKey },
  );
  return await task(client);
}
