// Package semconv is every name by which Berry's spans and metrics are known. Whatever the semantic conventions of OpenTelemetry
// name has their name, in version 1.41.0: the last release that defines the GenAI conventions, which have moved to a repository
// of their own since and have no release there yet. The rest begins with "berry.".
//
// What each name means, and where it stands, is in core/telemetry/README.md.
package semconv

import semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

// Spans. A stage's span has the stage's name, an attempt's the operation's and the provider's model: "chat gpt-4".
const (
	SpanSelect       = "select"
	SpanReload       = "reload"
	SpanLoadStrategy = "load_strategy"
	SpanHealthCheck  = "health_check"
)

// Events of spans.
const (
	EventFirstToken    = "berry.first_token"
	EventStrategyFault = "berry.strategy.fault"
	EventException     = semconv.ExceptionEventName
)

// Attributes of the semantic conventions.
const (
	ErrorType         = semconv.ErrorTypeKey
	ExceptionMessage  = semconv.ExceptionMessageKey
	ExceptionType     = semconv.ExceptionTypeKey
	ClientAddress     = semconv.ClientAddressKey
	ServerAddress     = semconv.ServerAddressKey
	ServerPort        = semconv.ServerPortKey
	RequestMethod     = semconv.HTTPRequestMethodKey
	ResponseStatus    = semconv.HTTPResponseStatusCodeKey
	Route             = semconv.HTTPRouteKey
	URLScheme         = semconv.URLSchemeKey
	ServiceName       = semconv.ServiceNameKey
	ServiceVersion    = semconv.ServiceVersionKey
	Operation         = semconv.GenAIOperationNameKey
	GenAIProvider     = semconv.GenAIProviderNameKey
	RequestModel      = semconv.GenAIRequestModelKey
	RequestMaxTokens  = semconv.GenAIRequestMaxTokensKey
	RequestStream     = semconv.GenAIRequestStreamKey
	ResponseID        = semconv.GenAIResponseIDKey
	ResponseModel     = semconv.GenAIResponseModelKey
	FinishReasons     = semconv.GenAIResponseFinishReasonsKey
	TimeToFirstChunk  = semconv.GenAIResponseTimeToFirstChunkKey
	UsageInputTokens  = semconv.GenAIUsageInputTokensKey
	UsageOutputTokens = semconv.GenAIUsageOutputTokensKey
	ConversationID    = semconv.GenAIConversationIDKey
	Instructions      = semconv.GenAISystemInstructionsKey
	InputMessages     = semconv.GenAIInputMessagesKey
	OutputMessages    = semconv.GenAIOutputMessagesKey
	TokenType         = semconv.GenAITokenTypeKey
	OpenAIAPI         = semconv.OpenAIAPITypeKey
)

// Berry's own attributes of spans.
const (
	RequestID      = "berry.request_id"
	Model          = "berry.model"
	User           = "berry.user"
	Outcome        = "berry.outcome"
	Stage          = "berry.stage"
	Attempts       = "berry.attempts"
	Attempt        = "berry.attempt"
	Result         = "berry.result"
	Probe          = "berry.probe"
	DroppedEvents  = "berry.dropped_events"
	Provider       = "berry.provider"
	ProviderModel  = "berry.provider_model"
	Strategy       = "berry.strategy"
	StrategySHA256 = "berry.strategy.sha256"
	StrategyABI    = "berry.strategy.abi"
	StrategyFuel   = "berry.strategy.fuel"
	FaultReason    = "berry.fault.reason"
	Candidates     = "berry.candidates"
	CandidateCount = "berry.candidates.count"
	Chosen         = "berry.chosen"
	PickedBy       = "berry.picked_by"
	Panic          = "berry.panic"
	Shadow         = "berry.shadow.strategy"
	ShadowChosen   = "berry.shadow.chosen"
	ShadowAgrees   = "berry.shadow.agrees"
	ReloadCause    = "berry.reload.cause"
	ReloadResult   = "berry.reload.result"
	ConfigSHA256   = "berry.config.sha256"
	HealthState    = "berry.health.state"
	HealthReason   = "berry.health.reason"
)

// Labels of Berry's own metrics, beside Model, User, Stage, Provider, ProviderModel, Strategy and Shadow.
const (
	LabelOutcome = "outcome"
	LabelStatus  = "status"
	LabelResult  = "result"
	LabelReason  = "reason"
	LabelCause   = "cause"
	LabelState   = "state"
)

// Metrics of the semantic conventions.
const (
	MetricOperationDuration  = "gen_ai.client.operation.duration"
	MetricTimeToFirstChunk   = "gen_ai.client.operation.time_to_first_chunk"
	MetricTokenUsage         = "gen_ai.client.token.usage"
	MetricTimePerOutputToken = "gen_ai.server.time_per_output_token"
)

// Berry's own metrics.
const (
	MetricModelRequests       = "berry.model.requests"
	MetricModelDuration       = "berry.model.duration"
	MetricUserRequests        = "berry.user.requests"
	MetricUserDuration        = "berry.user.duration"
	MetricStageDuration       = "berry.stage.duration"
	MetricAttempts            = "berry.backend.attempts"
	MetricDroppedEvents       = "berry.backend.dropped_events"
	MetricCost                = "berry.backend.cost"
	MetricHealthChanges       = "berry.backend.health_changes"
	MetricBackendState        = "berry.backend.state"
	MetricBackendCooldown     = "berry.backend.cooldown"
	MetricBackendInFlight     = "berry.backend.in_flight"
	MetricBackendLatency      = "berry.backend.latency"
	MetricBackendTTFT         = "berry.backend.ttft"
	MetricBackendSuccess      = "berry.backend.success_rate"
	MetricStrategyFaults      = "berry.strategy.faults"
	MetricStrategyFuel        = "berry.strategy.fuel"
	MetricStrategyQuarantined = "berry.strategy.quarantined"
	MetricStrategyLastFault   = "berry.strategy.last_fault"
	MetricShadowPicks         = "berry.shadow.picks"
	MetricReloads             = "berry.config.reloads"
	MetricConfigAge           = "berry.config.age"
	MetricConfigDraining      = "berry.config.draining"
	MetricSpans               = "berry.telemetry.spans"
)
