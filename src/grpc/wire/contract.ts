import { join } from 'node:path';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync, type Options } from '@grpc/proto-loader';
import { packageRoot } from '../../package-root.ts';
import type { ProtoGrpcType as ExecServiceFile } from '../gen/exec_service.ts';
import type { ProtoGrpcType as FileServiceFile } from '../gen/file_service.ts';
import type { ProtoGrpcType as NodeServiceFile } from '../gen/node_service.ts';
import type { ProtoGrpcType as PoolServiceFile } from '../gen/pool_service.ts';
import type { ProtoGrpcType as SandboxServiceFile } from '../gen/sandbox_service.ts';

/**
 * The contract in proto/, loaded once for server and clients. The options must be those of scripts/gen-proto.mjs.
 *
 * 64-bit integers are numbers (the counters stay far below 2^53, and a duration that does not is refused as too long),
 * enums are their names (readable in logs and in the client; a number only when it is one we do not know), and absent
 * fields are filled in, so that code reads one shape.
 */
const options: Options = {
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
  includeDirs: [join(packageRoot(), 'proto')],
};

const packageDefinition = loadSync(
  ['sandbox_service', 'exec_service', 'file_service', 'pool_service', 'node_service'].map(
    (name) => `warmpool/v1/${name}.proto`,
  ),
  options,
);

/** The generator writes one type for each file; at run time they are one tree. */
type Contract = ExecServiceFile & FileServiceFile & NodeServiceFile & PoolServiceFile & SandboxServiceFile;

export const contract = (loadPackageDefinition(packageDefinition) as unknown as Contract).warmpool.v1;
