// Server-sent events. The first argument says how the server stops on SIGINT and SIGTERM.
const http = require('node:http');

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  const timer = setInterval(() => response.write(`data: ${Date.now()}\n\n`), 100);
  response.on('close', () => clearInterval(timer));
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
};
const stop = ways[process.argv[2]];
if (stop) for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

server.listen(process.env.PORT, '127.0.0.1');
