// A WebSocket echo with a metrics page. The first argument says how the server stops on SIGINT and SIGTERM.
const http = require('node:http');
const client = require('prom-client');
const { WebSocketServer } = require('ws');

const server = http.createServer();
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(data.toString()));
});

new client.Gauge({
  name: 'open_streams',
  help: 'Open WebSockets.',
  collect() { this.set(sockets.clients.size); },
});
const metrics = http.createServer(async (request, response) => {
  response.setHeader('Content-Type', client.register.contentType);
  response.end(await client.register.metrics());
});

const closeClients = () => {
  for (const socket of sockets.clients) socket.close(1001, 'shutting down');
};
const ways = {
  'exit-0': () => process.exit(0),
  'close-clients': () => {
    closeClients();
    server.close(() => process.exit(0));
  },
  // The metrics page stays open, so the process does not end by itself.
  'close-clients-and-stay': () => {
    closeClients();
    server.close();
  },
  close: () => server.close(() => process.exit(0)),
  'close-and-stay': () => server.close(),
};
let stopping = false;
const onSignal = () => {
  if (stopping) process.exit(1);
  stopping = true;
  ways[process.argv[2]]();
};
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, onSignal);

server.listen(process.env.PORT, '127.0.0.1');
metrics.listen(process.env.METRICS_PORT, '127.0.0.1');
