package fakeprovider

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/coder/websocket"
)

// A Realtime is a provider of the Realtime API that echoes the client's events. On an event of type close it closes the WebSocket; on one of
// type cut it aborts the connection. It is safe for concurrent use.
type Realtime struct {
	Key string // required API key; "" accepts any

	mu     sync.Mutex
	Seen   []*http.Request              // handshakes; read it only while no client connects
	Closed map[websocket.StatusCode]int // number of clients by close code; -1 is an aborted connection; read it with Codes
}

// Codes returns the number of clients that closed with the code; -1 is an aborted connection.
func (s *Realtime) Codes(code websocket.StatusCode) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Closed[code]
}

type clientEvent struct {
	Type    string
	Code    websocket.StatusCode
	Reason  string
	Session object
}

func (s *Realtime) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Key != "" && r.Header.Get("Authorization") != "Bearer "+s.Key {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write(marshal(object{"error": fault{"Incorrect API key: " + r.Header.Get("Authorization"), "", "invalid_api_key"}}))
		return
	}
	s.mu.Lock()
	s.Seen = append(s.Seen, r)
	s.mu.Unlock()
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"realtime"}})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(64 << 20)
	session := object{"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": r.URL.Query().Get("model")}
	if deployment := r.URL.Query().Get("deployment"); deployment != "" {
		session["model"] = deployment
	}
	send := func(event object) { _ = c.Write(r.Context(), websocket.MessageText, marshal(event)) }
	send(object{"type": "session.created", "event_id": "event_1", "session": session})
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.Closed == nil {
				s.Closed = map[websocket.StatusCode]int{}
			}
			s.Closed[websocket.CloseStatus(err)]++
			return
		}
		var in clientEvent
		_ = json.Unmarshal(message, &in)
		switch in.Type {
		case "close":
			_ = c.Close(in.Code, in.Reason)
			return
		case "cut":
			return
		case "session.update":
			for name, value := range in.Session {
				session[name] = value
			}
			send(object{"type": "session.updated", "event_id": "event_2", "session": session})
		case "response.create":
			send(object{"type": "response.output_text.delta", "event_id": "event_3", "delta": "Hello"})
			send(object{"type": "response.done", "event_id": "event_4", "response": object{
				"object": "realtime.response", "status": "completed", "usage": object{"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
			}})
		default:
			_ = c.Write(r.Context(), kind, message)
		}
	}
}
