import uws from 'uWebSockets.js';
import { announce } from '../server-process.ts';

/** The floor's process: a bare uWebSockets.js server that sends every binary message back. */
const app = uws.App();
app.ws('/*', {
  maxPayloadLength: 128 * 1024,
  message: (socket, message, isBinary) => {
    socket.send(message, isBinary);
  },
});
app.listen('127.0.0.1', 0, (listening) => {
  if (!listening) throw new Error('the echo server could not listen');
  announce(`127.0.0.1:${uws.us_socket_local_port(listening)}`, async () => void app.close());
});
