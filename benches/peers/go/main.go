// The exchange on gws: one goroutine for each agent.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/lxzan/gws"
)

const nextHeartbeatMs = 30_000

// What an agent may say; each type uses some of the fields.
type heard struct {
	Type       string `json:"type"`
	InstanceID string `json:"instance_id"`
	RequestID  string `json:"request_id"`
	Status     string `json:"status"`
}

type appReadyAck struct {
	Type            string `json:"type"`
	Status          string `json:"status"`
	SessionRestored bool   `json:"session_restored"`
	ServerStatus    string `json:"server_status"`
	NextHeartbeatIn int    `json:"nextHeartbeatIn"`
}

type heartbeatResponse struct {
	Type            string `json:"type"`
	Status          string `json:"status"`
	Timestamp       string `json:"timestamp"`
	Message         string `json:"message"`
	NextHeartbeatIn int    `json:"nextHeartbeatIn"`
}

type terminateApp struct {
	Type      string `json:"type"`
	RequestID string `json:"request_id"`
	Reason    string `json:"reason"`
}

type exchange struct {
	gws.BuiltinEventHandler
	mutex    sync.Mutex
	agents   map[string]*gws.Conn
	ids      map[*gws.Conn]string
	waiting  map[string]*gws.Conn
	draining bool
	told     int
	acked    int
	empty    chan struct{}
}

func (e *exchange) OnMessage(socket *gws.Conn, message *gws.Message) {
	defer message.Close()
	var said heard
	if err := json.Unmarshal(message.Bytes(), &said); err != nil {
		return
	}
	switch said.Type {
	case "app_ready":
		e.mutex.Lock()
		e.agents[said.InstanceID] = socket
		e.ids[socket] = said.InstanceID
		e.mutex.Unlock()
		send(socket, appReadyAck{"app_ready_ack", "ok", false, "running", nextHeartbeatMs})
	case "heartbeat":
		now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		send(socket, heartbeatResponse{"heartbeat_response", "ok", now, "heartbeat received", nextHeartbeatMs})
	case "app_terminated":
		if said.Status == "OK" && e.ack(socket, said.RequestID) {
			_ = socket.WriteClose(1000, []byte("Client terminated"))
		}
	}
}

func (e *exchange) ack(socket *gws.Conn, id string) bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.waiting[id] != socket {
		return false
	}
	delete(e.waiting, id)
	e.acked++
	return true
}

func (e *exchange) OnClose(socket *gws.Conn, _ error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	delete(e.agents, e.ids[socket])
	delete(e.ids, socket)
	e.check()
}

func (e *exchange) terminate() {
	e.mutex.Lock()
	e.draining = true
	requests := make(map[string]*gws.Conn, len(e.agents))
	for _, socket := range e.agents {
		id := uuid.NewString()
		requests[id] = socket
		e.waiting[id] = socket
	}
	e.told = len(requests)
	e.check()
	e.mutex.Unlock()
	for id, socket := range requests {
		send(socket, terminateApp{"terminate_app", id, "Server shutting down"})
	}
}

// The mutex is held.
func (e *exchange) check() {
	if e.draining && len(e.agents) == 0 {
		e.draining = false
		close(e.empty)
	}
}

func send(socket *gws.Conn, message any) {
	text, err := json.Marshal(message)
	if err != nil {
		log.Fatal(err)
	}
	// An error here is an end, which OnClose is told of as well.
	_ = socket.WriteMessage(gws.OpcodeText, text)
}

func main() {
	e := &exchange{
		agents:  map[string]*gws.Conn{},
		ids:     map[*gws.Conn]string{},
		waiting: map[string]*gws.Conn{},
		empty:   make(chan struct{}),
	}
	upgrader := gws.NewUpgrader(e, &gws.ServerOption{CheckUtf8Enabled: true})
	http.HandleFunc("/deepstream/ws", func(writer http.ResponseWriter, request *http.Request) {
		socket, err := upgrader.Upgrade(writer, request)
		if err != nil {
			return
		}
		// The handler returns, so that net/http can let go of its buffers.
		go socket.ReadLoop()
	})
	stopped, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil)) }()
	<-stopped.Done()
	e.terminate()
	<-e.empty
	if e.acked != e.told {
		os.Exit(3)
	}
}
