// Server-sent events, a WebSocket echo and a metrics page. The argument says how the server stops on SIGINT and SIGTERM.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/events", sendEvents)
	mux.HandleFunc("/echo", echo)
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: mux}
	if port, ok := os.LookupEnv("METRICS_PORT"); ok {
		go func() { log.Fatal(http.ListenAndServe("127.0.0.1:"+port, promhttp.Handler())) }()
	} else {
		mux.Handle("/metrics", promhttp.Handler())
	}

	stopped := stopOnSignal(server, os.Args[1])
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	// After Shutdown or Close, ListenAndServe returns at once.
	if stopped != nil {
		<-stopped
	}
}
