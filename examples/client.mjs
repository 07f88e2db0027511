// A program and its sandbox: commands, files, a terminal, a port.  Run it beside `npm start`:  node examples/client.mjs
import { get } from 'node:http';
import { Warmpool, WarmpoolClientError } from 'warmpool/client';

const warmpool = new Warmpool({
  address: process.env.WARMPOOL_ADDRESS,
  apiKey: process.env.WARMPOOL_API_KEY,
});
const sandbox = await warmpool.create('base', { env: { NAME: 'warmpool' } });
try {
  const { stdout, exitCode } = await sandbox.exec('echo hello from $NAME; exit 3');
  console.log({ stdout, exitCode });

  await sandbox.files.write('greet.py', 'import sys\nfor line in sys.stdin: print("hi", line, end="")\n');
  const greeter = await sandbox.spawn(['python3', '-u', 'greet.py']);
  await greeter.write('Ada\nGrace\n');
  greeter.end();
  for await (const bytes of greeter.stdout) process.stdout.write(bytes);
  console.log('ended with', (await greeter.wait()).exitCode);

  // A terminal persists: a cut connection is made again, and goes on where it broke off.
  const terminal = await sandbox.pty({
    cols: 100,
    rows: 30,
    command: 'stty size; read line; echo "typed: $line"',
  });
  await terminal.write('ls\r');
  console.log(await new Response(terminal.readable).text());

  const server = await sandbox.spawn(['python3', '-m', 'http.server', '8000'], { stderr: 'ignore' });
  for await (const { port, open } of await sandbox.ports.watch()) if (port === 8000 && open) break;
  const forward = await sandbox.ports.forward(8000, { localPort: 0 });
  const page = await new Promise((resolve) => get({ port: forward.port, path: '/greet.py' }, resolve));
  console.log('HTTP', page.statusCode, page.headers['content-length'], 'bytes');
  page.destroy();
  await forward.close();
  server.kill();

  await sandbox.files.read('no-such-file').catch((error) => {
    if (!(error instanceof WarmpoolClientError)) throw error;
    console.log(error.code, '-', error.message);
  });
} finally {
  await sandbox.delete();
  warmpool.close();
}
