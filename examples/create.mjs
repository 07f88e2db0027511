// Takes a warm sandbox over plain gRPC, runs a command in it, and gives it back.
// Any gRPC client works: proto/warmpool/v1 is the contract.  Run it beside `npm start`:  node examples/create.mjs
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const files = ['sandbox_service', 'exec_service'].map((name) => `warmpool/v1/${name}.proto`);
const definition = loadSync(files, { includeDirs: ['proto'], enums: String, longs: Number });
const { SandboxService, ExecService } = grpc.loadPackageDefinition(definition).warmpool.v1;

const address = process.env.WARMPOOL_ADDRESS ?? '127.0.0.1:50051';
const sandboxes = new SandboxService(address, grpc.credentials.createInsecure());
const commands = new ExecService(address, grpc.credentials.createInsecure());
const call = (client, method) => promisify(client[method].bind(client));

const { sandbox } = await call(sandboxes, 'createSandbox')({ template: 'base', env: { NAME: 'warmpool' } });
const started = performance.now();
const { stdout } = await call(
  commands,
  'exec',
)({ sandboxId: sandbox.id, argv: ['sh', '-c', 'echo hello from $NAME'] });
console.log(
  `${sandbox.launch} ${sandbox.id}: ${stdout.toString().trim()} (${(performance.now() - started).toFixed(1)} ms)`,
);
await call(sandboxes, 'deleteSandbox')({ id: sandbox.id });
sandboxes.close();
commands.close();
