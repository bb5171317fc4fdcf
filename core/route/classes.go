package route

import (
	"net/http"
	"slices"
	"strings"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// A Class is a kind of failed response and its consequences: four questions, each with one answer.
type Class struct {
	When string // how README names it

	Moves    bool           // may another backend succeed?
	Scope    upstream.Scope // whose health does it touch?
	Lasts    Lasts          // for how long?
	Client   ClientAnswer   // what does the client get if no other backend succeeds?
	Doubtful bool           // the request itself may be the cause: for other users it counts as one failure
	NoRepeat bool           // the backend that gave it would give it again

	reason  string // what it means, for the log; "" if the status says it all
	result  abi.Result
	key     bool // it is the key that the provider refuses
	tooLong bool // the prompt is longer than the model takes
	is      func(s *providerError) bool
}

// Lasts is how long a class of failures takes a backend out of rotation.
type Lasts uint8

// The times out of rotation.
const (
	NotAtAll       Lasts = iota
	AfterThreshold       // from failure_threshold failures in a row on, for cooldown_seconds, doubled up to max_cooldown_seconds
	AtOnce               // the same from the first one on; for Retry-After, if there is one
	ForRetryAfter        // for Retry-After; without one as AfterThreshold
)

// A ClientAnswer is what a client receives when every backend has failed so.
type ClientAnswer uint8

// The responses to clients.
const (
	ProvidersAnswer ClientAnswer = iota // the provider's own
	IfExplained                         // the provider's own if that is JSON, else Berry's 502 upstream_error
	IfRateLimit                         // the same if its status is 429
	BadGateway                          // Berry's 502 upstream_error: the provider's words are the operator's
	ModelNotFound                       // Berry's 404 model_not_found
	ContentFilter                       // Berry's 400 content_filter
	TooLarge                            // Berry's 413 request_too_large
)

// classes are tried in this order: the error's content goes before its status. They are constant.
var classes = [...]Class{
	{
		When:  "402; an account that is out of credit, over its spending limit or disabled, whatever the status",
		Moves: true, Scope: upstream.ScopeAccount, Lasts: AtOnce, Client: IfRateLimit, NoRepeat: true,
		reason: "the account cannot pay, or is disabled", result: abi.AuthRefused, is: (*providerError).outOfCredit,
	},
	{
		When:  "401; 400 or 403 for a key that is wrong, expired or revoked",
		Moves: true, Scope: upstream.ScopeAccount, Lasts: AfterThreshold, Client: BadGateway, NoRepeat: true,
		reason: "the provider refuses the key", result: abi.AuthRefused, key: true, is: (*providerError).keyRefused,
	},
	{
		When:  "404, 405, 409 or 410 of a call for what a provider keeps: files, batches, stored responses",
		Scope: upstream.ScopeNobody, Client: ProvidersAnswer, NoRepeat: true,
		result: abi.ClientError, is: (*providerError).nothingKept,
	},
	{
		When:  "400, 403 or 404 with a code for a model that is unknown or forbidden, and the model's name",
		Moves: true, Scope: upstream.ScopeModel, Lasts: AfterThreshold, Client: ModelNotFound, NoRepeat: true,
		reason: "the provider does not serve the model", result: abi.ClientError, is: (*providerError).modelUnknown,
	},
	{
		When:  "the same in words alone, which may be the client's own",
		Moves: true, Scope: upstream.ScopeModel, Lasts: AfterThreshold, Client: ModelNotFound, Doubtful: true, NoRepeat: true,
		reason: "the provider does not serve the model", result: abi.ClientError, is: (*providerError).modelSeemsUnknown,
	},
	{
		When:  "403 for a prompt that was flagged",
		Moves: true, Scope: upstream.ScopeNobody, Client: ContentFilter, NoRepeat: true,
		reason: "the prompt was flagged", result: abi.ClientError, is: (*providerError).flagged,
	},
	{
		When:  "any other 403, a firewall's page too",
		Moves: true, Scope: upstream.ScopeModel, Lasts: AfterThreshold, Client: BadGateway, Doubtful: true, NoRepeat: true,
		result: abi.AuthRefused, is: statusIs(http.StatusForbidden),
	},
	{
		When:  "400 or 413 for a prompt that is too long (only backends that take more are asked)",
		Scope: upstream.ScopeNobody, Client: ProvidersAnswer, NoRepeat: true,
		result: abi.ClientError, tooLong: true, is: (*providerError).tooLong,
	},
	{
		When:  "429 for a request that is larger than the limit (`Request too large … must be reduced`)",
		Moves: true, Scope: upstream.ScopeNobody, Client: IfExplained, NoRepeat: true,
		reason: "the request is larger than the rate limit", result: abi.ClientError, is: (*providerError).largerThanLimit,
	},
	{
		When:  "any other 429",
		Moves: true, Scope: upstream.ScopeModel, Lasts: AtOnce, Client: IfExplained,
		result: abi.RateLimited, is: statusIs(http.StatusTooManyRequests),
	},
	{
		When:  "a proxy's 413 (no JSON of the API)",
		Moves: true, Scope: upstream.ScopeNobody, Client: TooLarge, NoRepeat: true,
		reason: "a proxy refuses the request's size", result: abi.ServerError, is: func(s *providerError) bool { return s.status == http.StatusRequestEntityTooLarge && !s.api },
	},
	{
		When:  "404 that is no JSON of the API, or says that the path or the resource is unknown; 405, 407, 410, 421, 424, 451, 498; a page of HTML with any other 4xx",
		Moves: true, Scope: upstream.ScopeModel, Lasts: AfterThreshold, Client: BadGateway, Doubtful: true, NoRepeat: true,
		reason: "the deployment does not serve this", result: abi.ServerError, is: (*providerError).misdeployed,
	},
	{
		When:  "408",
		Moves: true, Scope: upstream.ScopeModel, Lasts: AfterThreshold, Client: BadGateway, Doubtful: true,
		result: abi.ClientError, is: statusIs(http.StatusRequestTimeout),
	},
	{
		When:  "409, 425",
		Moves: true, Scope: upstream.ScopeNobody, Client: BadGateway,
		result: abi.ClientError, is: statusIs(http.StatusConflict, http.StatusTooEarly),
	},
	{
		When:  "503, 529",
		Moves: true, Scope: upstream.ScopeModel, Lasts: ForRetryAfter, Client: IfExplained,
		result: abi.ServerError, is: statusIs(http.StatusServiceUnavailable, adapter.StatusOverloaded),
	},
	{
		When:  "any other 4xx: the request's own fault",
		Scope: upstream.ScopeNobody, Client: ProvidersAnswer, NoRepeat: true,
		result: abi.ClientError, is: func(s *providerError) bool { return s.status >= 400 && s.status < 500 },
	},
	{
		When:  "any other 5xx, a redirect",
		Moves: true, Scope: upstream.ScopeModel, Lasts: AfterThreshold, Client: IfExplained,
		result: abi.ServerError, is: func(*providerError) bool { return true },
	},
}

// Classes returns all classes, in the order in which they are tried.
func Classes() []Class { return slices.Clone(classes[:]) }

func statusIs(of ...int) func(*providerError) bool {
	return func(s *providerError) bool { return slices.Contains(of, s.status) }
}

// outOfCredit reports whether the account has no credit, or is disabled. The message must begin with the words: what follows may quote the
// request.
func (s *providerError) outOfCredit() bool {
	return s.status == http.StatusPaymentRequired ||
		s.named("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error", "insufficient_balance",
			"insufficient_credits", "payment_required", "exceeded_current_quota_error", "failed_precondition") ||
		s.begins("insufficient balance", "insufficient credit", "your credit balance is too low", "you have reached your specified api usage limits",
			"this organization has been disabled", "your account is not active", "billing hard limit has been reached")
}

// keyRefused reports whether the provider refuses the gateway's key.
func (s *providerError) keyRefused() bool {
	switch {
	case s.status == http.StatusUnauthorized:
		return true
	case s.status != http.StatusBadRequest && s.status != http.StatusForbidden && !s.within:
		return false
	}
	return s.named("invalid_api_key", "api_key_invalid", "authentication_error", "account_deactivated") ||
		s.begins("api key not valid", "api key expired", "invalid api key", "incorrect api key", "your api key was reported", "your api key has",
			"your api key is", "the api key", "invalid authentication", "invalid x-api-key", "invalid bearer token", "method doesn't allow unregistered callers")
}

// nothingKept reports whether the provider stores nothing under the client's id, or cannot do what the call asks with it.
func (s *providerError) nothingKept() bool {
	return s.kept && s.json && statusIs(http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusConflict, http.StatusGone)(s)
}

func (s *providerError) modelUnknown() bool {
	return s.aboutRequest() && (s.named("deploymentnotfound") || s.named("model_not_found") && s.namesModel())
}

func (s *providerError) modelSeemsUnknown() bool {
	switch {
	case !s.aboutRequest():
		return false
	case s.named("model_not_found"):
		return true
	case s.status == http.StatusForbidden && s.contains("access to model", "access to the model", "access to this model"):
		return true
	}
	return s.namesModel() && (s.status == http.StatusNotFound ||
		s.contains("not found", "not exist", "not a valid model", "unknown model", "unsupported model", "not have access"))
}

// aboutRequest reports whether the status is one that rejects the request.
func (s *providerError) aboutRequest() bool {
	return s.status == http.StatusBadRequest || s.status == http.StatusForbidden || s.status == http.StatusNotFound
}

func (s *providerError) flagged() bool {
	return s.status == http.StatusForbidden && (s.named("content_filter", "content_policy_violation", "moderation_blocked") ||
		s.contains("flagged", "moderation", "content policy", "content filter", "safety system"))
}

// tooLong reports whether the prompt exceeds the model's context window: by OpenAI's code, llama.cpp's type, or the words of servers that
// have neither.
func (s *providerError) tooLong() bool {
	return (s.status == http.StatusBadRequest || s.status == http.StatusRequestEntityTooLarge) &&
		(s.named("context_length_exceeded", "exceed_context_size_error") || s.contains("maximum context length", "prompt is too long"))
}

func (s *providerError) largerThanLimit() bool {
	return s.status == http.StatusTooManyRequests && (s.begins("request too large") || s.contains("must be reduced"))
}

// misdeployed reports whether the response is not the API's, or the path does not exist.
func (s *providerError) misdeployed() bool {
	switch s.status {
	case http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusGone, http.StatusMisdirectedRequest,
		http.StatusFailedDependency, http.StatusUnavailableForLegalReasons, statusInvalidToken:
		return true
	case http.StatusNotFound:
		return !s.api || s.named("unknown_url") ||
			s.begins("resource not found", "no endpoints found", "invalid url (", "unknown request url", "404 page not found")
	default:
		return s.page && s.status >= 400 && s.status < 500
	}
}

// statusInvalidToken is some proxies' status for a token of their own.
const statusInvalidToken = 498

// clientError returns the gateway's error for the client; nil: 502.
func (a ClientAnswer) clientError() *apierror.Error {
	switch a {
	case ModelNotFound:
		return apierror.Invalid(http.StatusNotFound, apierror.CodeModelNotFound, "model",
			"No provider serves this model: it is unknown there, or not allowed. Ask another model, or tell the operator.")
	case ContentFilter:
		return apierror.Invalid(http.StatusBadRequest, apierror.CodeContentFilter, "", "The provider's moderation refused the prompt; change it, or ask another model.")
	case TooLarge:
		return apierror.Invalid(http.StatusRequestEntityTooLarge, apierror.CodeRequestTooLarge, "", "The request is larger than its provider takes; send less.")
	default:
		return nil
	}
}

// passes reports whether the client may receive the provider's own response.
func (a ClientAnswer) passes(status int) bool {
	switch a {
	case ProvidersAnswer, IfExplained:
		return true
	case IfRateLimit:
		return status == http.StatusTooManyRequests
	default:
		return false
	}
}

// A providerError is the content of a failed response, in OpenAI's format as far as possible.
type providerError struct {
	status  int
	kept    bool // the call was for what the provider keeps
	within  bool // it stood where an answer should, so that the status is only deduced
	page    bool // it is a page of HTML, or of a proxy's
	json    bool
	api     bool   // it is an error of the API
	code    string // in lower case, as the others
	kind    string
	reason  string // Google's
	message string
	model   string // the provider's name of the model that was asked
}

// named reports whether the error has one of the codes.
func (s *providerError) named(codes ...string) bool {
	return slices.Contains(codes, s.code) || slices.Contains(codes, s.kind) || s.reason != "" && slices.Contains(codes, s.reason)
}

func (s *providerError) contains(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s.message, w) })
}

func (s *providerError) begins(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(s.message, w) })
}

func (s *providerError) namesModel() bool {
	return s.model != "" && strings.Contains(s.message, s.model)
}
