import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { type ServiceSandbox, Warmpool } from '../../src/client/node/entry-node.ts';
import { TcpProxy } from '../client/tcp-proxy.ts';
import { requirement } from '../support/requirements.ts';
import { TestService } from '../support/service.ts';
import { Chromium, chromiumMissing } from './chromium.ts';
import { TerminalPage } from './terminal-page.ts';

const missing = chromiumMissing();
const { skip } = await requirement('bubblewrap');

describe('a terminal in a browser', { skip: missing ?? skip }, () => {
  let page: TerminalPage;
  let service: TestService;
  let warmpool: Warmpool;
  let sandbox: ServiceSandbox;
  let proxy: TcpProxy;
  let browser: Chromium;

  before(async () => {
    page = await TerminalPage.start();
    service = await TestService.start({
      pools: [{ name: 'base', size: { minReady: 1 } }],
      env: { WARMPOOL_DATA_ORIGINS: page.origin },
    });
    warmpool = new Warmpool({ address: service.grpc });
    sandbox = await warmpool.create('base', { env: { PS1: 'ready> ' } });
    proxy = await TcpProxy.start(sandbox.info.wsUrl);
    page.session = { wsUrl: proxy.urlOf(sandbox.info.wsUrl), token: sandbox.info.dataToken };
    browser = await Chromium.start();
    await browser.navigate(page.origin);
    await browser.until(`document.getElementById('status').textContent === 'connected'`);
  });
  after(async () => {
    await browser?.[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    sandbox?.close();
    warmpool?.close();
    await service?.[Symbol.asyncDispose]();
    await page?.[Symbol.asyncDispose]();
  });

  test('what is typed into the page runs in the sandbox, and what it prints is shown', async () => {
    await shows('$');
    await browser.type('echo $((6*7)) from $(hostname)\n');
    await shows(`42 from ${sandbox.id}`);
    await browser.type('printf "\\\\342\\\\202\\\\254 \\\\033[31mred\\\\033[0m\\\\n"\n');
    await shows('€ red');
    if (process.env.WARMPOOL_TEST_SCREENSHOT) {
      writeFileSync(process.env.WARMPOOL_TEST_SCREENSHOT, await browser.screenshot());
    }
  });

  test('control characters reach the program in front', async () => {
    // Its own word, which the line typed does not spell, says that it is what ^C goes to.
    await browser.type('sh -c \'echo is=u""p; exec sleep 1000\'\n');
    await shows('is=up');
    await browser.control('c');
    await shows('^C');
    await browser.type('echo code=$?\n');
    await shows('code=130');
  });

  test('a connection that breaks is made again, and the shell is the same one', async () => {
    await browser.type('MARK=kept; clear\n');
    proxy.cut();
    await browser.until(`document.getElementById('status').textContent === 'connected'`);
    await browser.type('echo mark=$MARK\n');
    await shows('mark=kept');
  });

  test('a flood is shown no faster than the page can, and to its end', async () => {
    await browser.type('clear; seq 1 60000 | sed "s/^/row /"; echo over and out\n');
    await shows('row 60000');
    await shows('over and out');
  });

  test('the page knows how the shell ended', async () => {
    await browser.type('exit 5\n');
    await browser.until(`document.getElementById('status').textContent === 'exited with 5'`);
    assert.deepEqual(
      browser.console.filter((line) => /exception|error/i.test(line) && !line.includes('favicon')),
      [],
    );
  });

  test('a page of another origin is refused', async () => {
    await using other = await TerminalPage.start();
    await browser.navigate(other.origin);
    const { wsUrl, dataToken } = sandbox.info;
    const opened = `new Promise((resolve) => { const socket = new WebSocket(${JSON.stringify(wsUrl)},
      ['warmpool.v1', 'warmpool.token.' + ${JSON.stringify(dataToken)}]);
      socket.onopen = () => resolve('open'); socket.onclose = () => resolve('refused'); })`;
    assert.equal(await browser.evaluate(opened), 'refused');
  });

  /** A row of the terminal, as xterm.js has drawn it. */
  async function shows(text: string): Promise<void> {
    const rows = `[...document.querySelectorAll('.xterm-rows > div')].map((row) => row.textContent.replaceAll('\\u00a0', ' '))`;
    await browser.until(`${rows}.some((row) => row.includes(${JSON.stringify(text)}))`);
  }
});
