// Server-sent events, and a metrics page. The first argument says how the server stops on SIGINT and SIGTERM.
const http = require('node:http');
const net = require('node:net');

let streams = 0;
const server = http.createServer((request, response) => {
  if (request.url === '/metrics') {
    response.end(`open_streams ${streams}\n`);
    return;
  }
  streams += 1;
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  const timer = setInterval(() => response.write(`data: ${Date.now()}\n\n`), 100);
  response.on('close', () => {
    clearInterval(timer);
    streams -= 1;
  });
});

const ways = {
  // Node catches both signals itself, and dies of them.
  default: undefined,
  'exit-0': () => process.exit(0),
  'exit-1': () => process.exit(1),
  'close-all': () => {
    server.close();
    server.closeAllConnections();
    setTimeout(() => process.exit(0), 1000); // time to flush logs
  },
  // The process ends with its last connection.
  close: () => server.close(),
  // Before version 19, `close` waits for idle connections, too. Behind a load balancer they stay open for longer.
  'close-18': () => net.Server.prototype.close.call(server),
};
server.keepAliveTimeout = 75_000;
const stop = ways[process.argv[2]];
if (stop) for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

server.listen(process.env.PORT, '127.0.0.1');
