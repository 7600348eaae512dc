// Two workers that send server-sent events. The argument says how the primary stops on SIGINT and SIGTERM.
const cluster = require('node:cluster');
const http = require('node:http');

if (cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
  const ways = {
    'exit-0': () => process.exit(0),
    // Each worker closes its server and waits for its connections.
    disconnect: () => cluster.disconnect(),
  };
  const stop = ways[process.argv[2]];
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);
} else {
  const server = http.createServer((request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const timer = setInterval(() => response.write(`data: ${Date.now()}\n\n`), 100);
    response.on('close', () => clearInterval(timer));
  });
  server.listen(process.env.PORT, '127.0.0.1');
}
