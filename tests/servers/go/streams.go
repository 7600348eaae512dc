package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	streams  = promauto.NewGauge(prometheus.GaugeOpts{Name: "open_streams", Help: "Open WebSockets and event streams."})
	upgrader websocket.Upgrader
	// Shutdown does not wait for hijacked connections, such as WebSockets.
	webSockets sync.WaitGroup
)

func sendEvents(w http.ResponseWriter, r *http.Request) {
	streams.Inc()
	defer streams.Dec()
	w.Header().Set("Content-Type", "text/event-stream")
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			fmt.Fprintf(w, "data: %s\n\n", now)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	webSockets.Add(1)
	defer webSockets.Done()
	connection, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer connection.Close()
	streams.Inc()
	defer streams.Dec()
	for {
		kind, message, err := connection.ReadMessage()
		if err != nil || connection.WriteMessage(kind, message) != nil {
			return
		}
	}
}
