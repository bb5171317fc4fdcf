package route

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/berrygate/berry/core"
)

// What failed answers mean: whether another backend is asked, whose health they touch (doubtful evidence with a question mark, a
// cooldown at once with an exclamation mark), and what the client is told.
func TestClassify(t *testing.T) {
	const account, key, model, maybeModel, nobody = "moves account!", "moves account", "moves model", "moves model?", "moves nobody"
	html := "<html><body>Blocked</body></html>"
	e := func(code, message string) string {
		return fmt.Sprintf(`{"error":{"message":%q,"type":"","code":%q}}`, message, code)
	}
	for _, test := range []struct {
		status     int
		body, want string
	}{
		{402, e("", "Insufficient Balance"), account + " 502"}, {402, html, account + " 502"}, {402, "", account + " 502"},
		{400, e("billing_hard_limit_reached", "x"), account + " 502"}, {429, e("insufficient_quota", "You exceeded your current quota"), account + " own"},
		{400, e("", "You have reached your specified API usage limits."), account + " 502"},
		{400, e("", "This organization has been disabled."), account + " 502"}, {400, e("", "Your credit balance is too low"), account + " 502"},
		{400, e("", "bad tool 'insufficient balance'"), "ends nobody own"}, // the client's own words
		{401, e("", "x"), key + " 502"}, {401, html, key + " 502"}, {400, e("", "API key not valid. Please pass a valid API key."), key + " 502"},
		{400, `[{"error":{"code":400,"message":"Please pass a valid key","details":[{"reason":"API_KEY_INVALID"}]}}]`, key + " 502"},
		{403, e("", "Your API key was reported as leaked."), key + " 502"}, {403, e("invalid_api_key", "x"), key + " 502"},
		{400, e("", "no such field: api key not valid"), "ends nobody own"},
		{403, e("model_not_found", "Project does not have access to model gpt-x"), model + " 404 model_not_found"},
		{403, e("", "You do not have access to model y"), maybeModel + " 404 model_not_found"},
		{404, e("model_not_found", "The model gpt-x does not exist"), model + " 404 model_not_found"},
		{404, e("model_not_found", "The model y does not exist"), maybeModel + " 404 model_not_found"}, // a tool's, say
		{404, e("DeploymentNotFound", "The API deployment for this resource does not exist."), model + " 404 model_not_found"},
		{404, `{"error":"model 'gpt-x' not found, try pulling it first"}`, maybeModel + " 404 model_not_found"},
		{404, `{"object":"error","message":"The model gpt-x does not exist.","code":404}`, maybeModel + " 404 model_not_found"},
		{400, e("", "gpt-x is not a valid model ID"), maybeModel + " 404 model_not_found"},
		{404, e("", "Voice 'model' not found"), "ends nobody own"}, {404, e("previous_response_not_found", "x"), "ends nobody own"},
		{403, e("", "openai/gpt-x requires moderation. Your input was flagged."), nobody + " 400 content_filter"},
		{403, e("permission_error", "Not for you."), maybeModel + " 502"}, {403, html, maybeModel + " 502"}, {403, "", maybeModel + " 502"},
		{400, e("context_length_exceeded", "x"), "ends nobody own"}, {400, e("content_filter", "x"), "ends nobody own"},
		{429, e("rate_limit_exceeded", "Request too large for gpt-x: Limit 1, Requested 2. It must be reduced."), nobody + " own"},
		{429, e("", "slow down"), "moves model! own"}, {429, html, "moves model! own"},
		{413, html, nobody + " 413 request_too_large"}, {413, e("", "too large"), "ends nobody own"},
		{404, html, maybeModel + " 502"}, {404, `{"detail":"Not Found"}`, maybeModel + " 502"}, {404, "404 page not found", maybeModel + " 502"}, {404, "", maybeModel + " 502"},
		{404, e("404", "Resource not found"), maybeModel + " 502"}, {404, e("404", "No endpoints found for gpt."), maybeModel + " 502"},
		{404, e("", "Invalid URL (POST /v1/v1/chat)"), maybeModel + " 502"},
		{405, e("", "x"), maybeModel + " 502"}, {407, "", maybeModel + " 502"}, {410, "", maybeModel + " 502"}, {421, "", maybeModel + " 502"},
		{424, "", maybeModel + " 502"}, {451, e("", "x"), maybeModel + " 502"}, {498, "", maybeModel + " 502"},
		{400, html, maybeModel + " 502"}, {422, html, maybeModel + " 502"}, {400, "bad request", "ends nobody own"},
		{422, `{"detail":[{"loc":["body"]}]}`, "ends nobody own"}, {400, e("", "x"), "ends nobody own"},
		{408, "", maybeModel + " 502"}, {409, e("", "x"), nobody + " 502"}, {425, "", nobody + " 502"},
		{500, e("", "x"), model + " own"}, {503, "", model + " own"}, {529, e("", "x"), model + " own"}, {302, "", model + " own"},
	} {
		f := Classify(&core.Answer{Status: test.status, Header: http.Header{}, Body: []byte(test.body)}, Call{Model: "gpt-x"}, at(0))
		if got := describeFailure(f); got != test.want {
			t.Errorf("%d %s: %s, want %s", test.status, test.body, got, test.want)
		}
		if f.Status != test.status || !strings.Contains(f.Err.Error(), fmt.Sprint(test.status)) {
			t.Errorf("%d: %d, %v", test.status, f.Status, f.Err)
		}
	}
}

func describeFailure(f *core.Failure) string {
	s := map[bool]string{true: "moves ", false: "ends "}[f.Retryable] + f.Scope.String()
	switch {
	case f.Doubtful:
		s += "?"
	case f.AtOnce:
		s += "!"
	}
	switch {
	case f.Answer != nil:
		return s + " own"
	case f.ClientError != nil:
		return fmt.Sprintf("%s %d %s", s, f.ClientError.Status, f.ClientError.Code)
	default:
		return s + " 502"
	}
}

// What a client names of a provider's store, and is not there, is nobody's fault but the client's.
func TestClassifyWhatIsKept(t *testing.T) {
	for status, want := range map[int]string{404: "ends nobody own", 409: "ends nobody own", 410: "ends nobody own", 401: "moves account 502", 500: "moves model own"} {
		f := Classify(&core.Answer{Status: status, Header: http.Header{}, Body: []byte(`{"error":{"message":"No such file"}}`)}, Call{Kept: true}, at(0))
		if got := describeFailure(f); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}

// An error within a 200 means what the status would have meant that it stands for.
func TestClassifyError(t *testing.T) {
	for body, want := range map[string]string{
		`{"code":"rate_limit_exceeded"}`: "429 moves model! own", `{"code":503}`: "503 moves model own", `{"code":"502"}`: "502 moves model own",
		`{"type":"invalid_request_error"}`: "400 ends nobody own", `"odd"`: "500 moves model own",
		`{"code":402,"message":"Insufficient credits"}`: "402 moves account! 502", `{"message":"Insufficient Balance"}`: "500 moves account! 502",
		`{"code":403,"message":"Your input was flagged"}`: "403 moves nobody 400 content_filter", `{"type":"permission_error"}`: "403 moves model? 502",
		`{"type":"authentication_error"}`: "401 moves account 502", `{"message":"Invalid API key"}`: "500 moves account 502",
		`{"type":"billing_error"}`: "402 moves account! 502", `{"type":"not_found_error","message":"x"}`: "404 ends nobody own",
	} {
		f := ClassifyError([]byte(`{"error":`+body+`}`), http.Header{}, Call{Model: "gpt-x"}, at(0))
		if got := fmt.Sprint(f.Status, " ", describeFailure(f)); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}
