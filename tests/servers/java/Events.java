// Server-sent events with the JDK's own server. The argument says how the server stops on SIGINT and SIGTERM.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

class Events {
    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(System.getenv("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        ExecutorService handlers = Executors.newCachedThreadPool();
        server.setExecutor(handlers);
        server.createContext("/events", Events::send);
        // The JVM catches both signals itself, runs the shutdown hooks, and exits when all have returned.
        switch (arguments[0]) {
            case "hook" -> addShutdownHook(() -> drain(server, handlers));
            case "hook-and-halt" -> addShutdownHook(() -> {
                drain(server, handlers);
                Runtime.getRuntime().halt(0);
            });
            default -> { }
        }
        server.start();
    }

    private static void addShutdownHook(Runnable hook) {
        Runtime.getRuntime().addShutdownHook(new Thread(hook));
    }

    private static void send(HttpExchange exchange) throws IOException {
        exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
        exchange.sendResponseHeaders(200, 0);
        try (var body = exchange.getResponseBody()) {
            while (true) {
                body.write(("data: " + System.currentTimeMillis() + "\n\n").getBytes());
                body.flush();
                Thread.sleep(100);
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private static void drain(HttpServer server, ExecutorService handlers) {
        handlers.shutdown();
        try {
            handlers.awaitTermination(10, TimeUnit.MINUTES);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
        server.stop(0);
    }
}
