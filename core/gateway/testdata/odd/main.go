// Odd is a strategy that behaves as the model's name says, for tests.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/berrygate/berry/sdk"
)

func init() { sdk.Register(pick, sdk.Configure(configure)) }
func main() {}

func configure(config []byte) error {
	if bytes.Contains(config, []byte("refuse")) {
		return errors.New("as asked")
	}
	return nil
}

var calls int

func pick(q *sdk.Query) int {
	switch q.Model() {
	case "faulty": // works at load, and every second time after that
		if calls++; calls%2 == 0 {
			panic("as asked")
		}
	case "nosy":
		fmt.Println(found(q))
	}
	return 0
}

// found tells what a guest finds of the world; it must be nothing but the query.
func found(q *sdk.Query) string {
	_, file := os.ReadFile("/etc/hostname")
	_, folder := os.ReadDir("/")
	_, socket := net.Dial("tcp", "127.0.0.1:80")
	began := time.Now()
	time.Sleep(time.Hour) // returns at once
	return fmt.Sprintf("found: args %d, env %d, file %t, folder %t, socket %t, clock %t, slept %v",
		len(os.Args), len(os.Environ()), file == nil, folder == nil, socket == nil, began.UnixNano() != q.Now(), time.Since(began) >= time.Hour)
}
