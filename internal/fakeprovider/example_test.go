package fakeprovider_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/berrygate/berry/internal/fakeprovider"
)

func Example() {
	p := &fakeprovider.Provider{Name: "slow", Latency: 300 * time.Millisecond, FailEvery: 10}
	server := httptest.NewServer(p)
	defer server.Close()

	response, err := http.Post(server.URL+"/v1/embeddings", "application/json", strings.NewReader(`{"model":"m","input":"x"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		fmt.Println(err)
	}
	fmt.Println(response.StatusCode, p.Served())
	// Output: 200 1
}
