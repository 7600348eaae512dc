package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopOnSignal stops the server in this way on the first signal. It returns a channel that is closed when the process
// may exit, or nil if main does not wait.
func stopOnSignal(server *http.Server, way string) <-chan struct{} {
	if way == "default" {
		// The runtime catches both signals, and dies of them.
		return nil
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	stopped := make(chan struct{})
	go func() {
		<-signals
		stop(server, way)
		close(stopped)
	}()
	if way == "shutdown-without-waiting" {
		return nil
	}
	return stopped
}

func stop(server *http.Server, way string) {
	switch way {
	case "exit-0":
		os.Exit(0)
	case "close":
		server.Close()
	case "close-then-fail":
		server.Close()
		time.Sleep(time.Second) // time to flush logs
		os.Exit(1)
	case "shutdown", "shutdown-without-waiting":
		server.Shutdown(context.Background())
	case "shutdown-for-10s":
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		server.Shutdown(ctx)
	case "shutdown-and-websockets":
		server.Shutdown(context.Background())
		webSockets.Wait()
	default:
		log.Fatalf("unknown way to stop: %s", way)
	}
}
