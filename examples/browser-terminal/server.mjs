// A terminal in a browser: node examples/browser-terminal/server.mjs, then open http://127.0.0.1:8090.
// The service has to allow the page's origin: WARMPOOL_DATA_ORIGINS=http://127.0.0.1:8090 npm start
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { build } from 'esbuild';
import { Warmpool } from 'warmpool/client';

const here = (name) => new URL(name, import.meta.url).pathname;
const { outputFiles } = await build({
  entryPoints: [here('page.mjs')],
  bundle: true,
  write: false,
  outdir: 'out',
  format: 'esm',
  target: 'es2022',
});
const bundled = (end) => outputFiles.find(({ path }) => path.endsWith(end)).contents;

const files = {
  '/': ['text/html', await readFile(here('index.html'))],
  '/page.js': ['text/javascript', bundled('.js')],
  '/page.css': ['text/css', bundled('.css')],
};
const warmpool = new Warmpool({
  address: process.env.WARMPOOL_ADDRESS ?? '127.0.0.1:50051',
  apiKey: process.env.WARMPOOL_API_KEY,
});

createServer(async (request, response) => {
  if (request.method === 'POST' && request.url === '/session') {
    // The key stays here. The page gets a token for this one sandbox.
    const { info } = await warmpool.create('base');
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ wsUrl: info.wsUrl, token: info.dataToken }));
    return;
  }
  const [type, body] = files[request.url] ?? ['text/plain', null];
  response.writeHead(body === null ? 404 : 200, { 'content-type': type });
  response.end(body);
}).listen(8090, '127.0.0.1', () => console.log('http://127.0.0.1:8090'));
