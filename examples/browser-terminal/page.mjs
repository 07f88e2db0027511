// The page's side: xterm.js on a terminal of a sandbox, over one WebSocket, with nothing in between.
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { Sandbox } from 'warmpool/client';

const status = document.getElementById('status');
const xterm = new Terminal({ cols: 80, rows: 24, scrollback: 5_000, cursorBlink: true });
xterm.open(document.getElementById('terminal'));
xterm.focus();

// Our server made the sandbox; this page gets its address and a token that opens nothing else.
const { wsUrl, token } = await (await fetch('session', { method: 'POST' })).json();
const sandbox = await Sandbox.connect({ wsUrl, token });
sandbox.onState(({ state }) => {
  status.textContent = state;
});

const terminal = await sandbox.pty({ cols: xterm.cols, rows: xterm.rows });
status.textContent = 'connected';
xterm.onData((typed) => void terminal.write(typed));
xterm.onBinary(
  (typed) => void terminal.write(Uint8Array.from(typed, (character) => character.charCodeAt(0))),
);
xterm.onResize((size) => terminal.resize(size));

// Raw bytes, because a piece may cut a character in two. The next piece is asked for when xterm.js has dealt with this one:
// a flood inside then waits inside.
for await (const bytes of terminal.output) await new Promise((done) => xterm.write(bytes, done));
const { exitCode } = await terminal.wait();
sandbox.close();
status.textContent = `exited with ${exitCode}`;
